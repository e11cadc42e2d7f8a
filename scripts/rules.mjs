// Holds the import table (.dependency-cruiser.cjs) and fails when the tool saw fewer modules than there are.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const rooms = [
  'core',
  'plist',
  'cms',
  'keys',
  'mdm',
  'scep',
  'apns',
  'profiles',
  'reconciler',
  'hosts',
  'osquery',
  'db',
  'http',
  'server',
  'cli',
  'simulator',
  'bench',
  'test',
].filter((room) => existsSync(path.join(root, room)));
const own = rooms.flatMap((room) =>
  readdirSync(path.join(root, room), { recursive: true }).filter((name) => String(name).endsWith('.ts')),
);

const bin = path.join(root, 'node_modules', 'dependency-cruiser', 'bin', 'dependency-cruise.mjs');
const result = spawnSync(
  process.execPath,
  [bin, ...rooms, '--config', '.dependency-cruiser.cjs', '--output-type', 'json'],
  { cwd: root, maxBuffer: 1 << 28, encoding: 'utf8' },
);
if (result.stdout === '') {
  console.error(result.stderr);
  process.exit(1);
}
/** @type {{ summary: { violations: { rule: { name: string, severity: string }, from: string, to: string }[] }, modules: { source: string }[] }} */
const { summary, modules } = JSON.parse(result.stdout);
const seen = modules.filter(
  (module) => !module.source.startsWith('node_modules') && module.source.endsWith('.ts'),
).length;
for (const violation of summary.violations)
  console.error(`${violation.rule.name}: ${violation.from} -> ${violation.to}`);
if (seen < own.length) {
  console.error(`import rules: only ${seen} of ${own.length} modules were read, so the answer means nothing`);
  process.exit(1);
}
console.log(`import rules: ${seen} modules, ${summary.violations.length} violations`);
process.exit(summary.violations.some((violation) => violation.rule.severity === 'error') ? 1 : 0);
