import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inspect } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { EspalierError } from '../../core/errors.ts';
import { systemRandom } from '../../core/system.ts';
import { ensureKekFile, loadKek, parseKek, readKekFile } from '../../keys/kek.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'espalier-kek-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const bytes = systemRandom.bytes(32);

function write(name: string, text: string, mode: number): string {
  const file = path.join(folder, name);
  writeFileSync(file, text);
  chmodSync(file, mode);
  return file;
}

function errorOf(load: () => unknown): EspalierError {
  try {
    load();
  } catch (error) {
    if (error instanceof EspalierError) return error;
  }
  throw new Error('it was accepted');
}

test('base64, base64url, hex and a file of them are the same key', () => {
  const id = parseKek(bytes.toString('hex'), 'x').id;
  const texts = [bytes.toString('base64'), bytes.toString('base64url'), ` ${bytes.toString('hex').toUpperCase()}\n`];
  for (const text of texts) expect(parseKek(text, 'x').id).toEqual(id);
  expect(readKekFile(write('ok', `${bytes.toString('base64')}\n`, 0o400)).id).toEqual(id);
  expect(loadKek({ kek: bytes.toString('base64') }).key.equals(loadKek({ kekFile: path.join(folder, 'ok') }).key)).toBe(
    true,
  );
});

test.each([
  ['nothing set', () => loadKek({})],
  ['both set', () => loadKek({ kek: bytes.toString('hex'), kekFile: '/x' })],
  ['too short', () => parseKek(bytes.subarray(1).toString('base64'), 'ESPALIER_KEK')],
  ['too long', () => parseKek(`${bytes.toString('hex')}00`, 'ESPALIER_KEK')],
  ['empty', () => parseKek('', 'ESPALIER_KEK')],
  ['a passphrase', () => parseKek('correct horse battery staple', 'ESPALIER_KEK')],
  ['no file', () => readKekFile(path.join(folder, 'absent'))],
  ['a folder', () => readKekFile(folder)],
  ['readable by the group', () => readKekFile(write('group', bytes.toString('hex'), 0o640))],
  ['readable by all', () => readKekFile(write('all', bytes.toString('hex'), 0o604))],
])('refused with kek_missing and a fix: %s', (_, load) => {
  const error = errorOf(load);
  expect(error.code).toBe('kek_missing');
  expect(error.fix).toBeTruthy();
});

test('a link to a key file is refused: its own mode says nothing', () => {
  write('target', bytes.toString('hex'), 0o400);
  symlinkSync(path.join(folder, 'target'), path.join(folder, 'link'));
  expect(errorOf(() => readKekFile(path.join(folder, 'link'))).code).toBe('kek_missing');
});

test('a refusal never repeats the text', () => {
  const error = errorOf(() => parseKek(`${bytes.toString('hex')}!`, 'ESPALIER_KEK'));
  expect(inspect(error)).not.toContain(bytes.toString('hex').slice(0, 16));
});

test('the demo makes one file, mode 0600, and finds it again', () => {
  const file = path.join(folder, 'kek');
  const first = ensureKekFile(file, systemRandom);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const text = readFileSync(file, 'utf8');
  expect(ensureKekFile(file, systemRandom).id).toEqual(first.id);
  expect(readFileSync(file, 'utf8')).toBe(text);
});
