import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { lockDataFolder } from '../../db/lock-file.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'espalier-lock-'));
  file = path.join(folder, 'espalier.lock');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const ago = (ms: number) => new Date(Date.now() - ms);
function leave(holder: object | string, silentMs = 0): void {
  writeFileSync(file, typeof holder === 'string' ? holder : JSON.stringify(holder));
  utimesSync(file, ago(silentMs), ago(silentMs));
}

test('held until given back, by this process too', () => {
  const unlock = lockDataFolder(folder);
  expect(() => lockDataFolder(folder)).toThrow(`process ${process.pid}`);
  unlock();
  expect(existsSync(file)).toBe(false);
  lockDataFolder(folder)();
});

test('the refusal names the pid of a living holder', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  await once(child, 'spawn');
  leave({ pid: child.pid, host: hostname(), started: null });
  expect(() => lockDataFolder(folder)).toThrow(expect.objectContaining({ code: 'data_folder_in_use' }));
  expect(() => lockDataFolder(folder)).toThrow(`process ${child.pid}`);
  child.kill('SIGKILL');
  await once(child, 'exit');
  lockDataFolder(folder)();
});

test.each([
  ['a process that is gone', { pid: 2 ** 22 + 1, host: hostname(), started: null }, 0],
  ['our pid, used by an earlier process', { pid: process.pid, host: hostname(), started: 'boot 1' }, 0],
  ['a container that nobody hears of any more', { pid: process.pid, host: 'elsewhere', started: null }, 60_000],
  ['a text cut short long ago', '{"pid":', 60_000],
])('abandoned by %s: taken over', (_, holder, silentMs) => {
  leave(holder, silentMs);
  const unlock = lockDataFolder(folder);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ pid: process.pid, host: hostname() });
  unlock();
  expect(readdirSync(folder)).toEqual([]);
});

test.each([
  ['on another host, heard of lately', { pid: 1, host: 'elsewhere', started: null }],
  ['just being written', ''],
])('held by one %s: refused', (_, holder) => {
  leave(holder);
  expect(() => lockDataFolder(folder)).toThrow(expect.objectContaining({ code: 'data_folder_in_use' }));
});

test('a holder touches its lock, so that another host sees it live', () => {
  vi.useFakeTimers();
  const unlock = lockDataFolder(folder);
  utimesSync(file, ago(25_000), ago(25_000));
  vi.advanceTimersByTime(5_000);
  vi.useRealTimers();
  expect(statSync(file).mtimeMs).toBeGreaterThan(Date.now() - 15_000);
  unlock();
});

test('giving back never removes the lock of somebody else', () => {
  const unlock = lockDataFolder(folder);
  leave({ pid: 1, host: 'elsewhere', started: null });
  unlock();
  expect(existsSync(file)).toBe(true);
});
