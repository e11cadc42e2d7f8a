// Compiles the rooms into dist/, copies what the compiler does not know (SQL), and makes the template of a new data folder.
// Skips the work when dist/ is newer than every source: `npm run demo` calls this on each start.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const skip = new Set(['node_modules', 'dist', 'test', 'docs', '.git', 'espalier-data', 'espalier-demo']);
const compiled = /\.(ts|mjs)$/;
const copied = /\.sql$/;

/** @param {string} folder @returns {string[]} */
function sources(folder) {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = path.join(folder, entry.name);
    if (entry.isDirectory()) return skip.has(entry.name) || entry.name.startsWith('.') ? [] : sources(name);
    return compiled.test(entry.name) || copied.test(entry.name) ? [name] : [];
  });
}

const files = [...sources('.'), 'package.json', 'tsconfig.json', 'tsconfig.build.json'].sort();
const hash = createHash('sha256');
for (const file of files)
  hash
    .update(file)
    .update('\0')
    .update(readFileSync(path.join(root, file)));
const stamp = hash.digest('hex');
const stampFile = path.join(root, 'dist', '.sources.sha256');
const fresh = existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp;

if (!fresh) {
  rmSync(path.join(root, 'dist'), { recursive: true, force: true });
  const compiler = path.join(root, 'node_modules', 'ts7', 'bin', 'tsc');
  const result = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
  if (result.status !== 0) process.exit(result.status ?? 1);
  for (const file of files.filter((name) => copied.test(name))) {
    const target = path.join(root, 'dist', file);
    mkdirSync(path.dirname(target), { recursive: true });
    cpSync(path.join(root, file), target);
  }
  const main = path.join(root, 'dist', 'cli', 'main.js');
  if (!existsSync(main) || statSync(main).size === 0) {
    console.error('build: dist/cli/main.js is missing after the compile');
    process.exit(1);
  }
  const template = spawnSync(process.execPath, [path.join(root, 'scripts', 'build-template.mjs')], {
    stdio: 'inherit',
  });
  if (template.status !== 0) process.exit(template.status ?? 1);
  writeFileSync(stampFile, stamp);
}
