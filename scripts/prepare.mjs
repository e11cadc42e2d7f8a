// Runs before `npm run demo` and `npm run up` with no dependency: installs from the lockfile where
// node_modules is missing or older than it, then builds dist/ where it is stale.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Espalier needs Node 20.19 or newer; this is ${process.version}.`);
  process.exit(1);
}

const lock = createHash('sha256')
  .update(readFileSync(path.join(root, 'package-lock.json')))
  .digest('hex');
const marker = path.join(root, 'node_modules', '.espalier-lock.sha256');
const compiler = path.join(root, 'node_modules', 'ts7', 'bin', 'tsc');
const installed = existsSync(compiler) && existsSync(marker) && readFileSync(marker, 'utf8') === lock;
if (!installed) {
  console.log('Installing packages from package-lock.json …');
  const npm = process.env.npm_execpath;
  const result = npm?.endsWith('.js')
    ? spawnSync(process.execPath, [npm, 'ci'], { cwd: root, stdio: 'inherit' })
    : spawnSync('npm', ['ci'], { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' });
  if (result.status !== 0) process.exit(result.status ?? 1);
  writeFileSync(marker, lock);
}
await import('./build.mjs');
