import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it, vi } from 'vitest';
import { systemClock } from '../../core/system.ts';
import { type TlsMaterial, watchTls } from '../../server/tls.ts';
import { keyPem, rsa } from '../cms/fixtures.ts';
import { ca, leaf, pem } from './tls-files.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'espalier-tls-'));
const files = { cert: path.join(folder, 'cert.pem'), key: path.join(folder, 'key.pem') };
afterAll(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true, force: true });
});

it('every change is either used or said to be refused once, and a pair that comes in two writes is used with the second', () => {
  const [first, second] = [leaf(), leaf({}, rsa('tls second'))];
  const write = (more: { cert?: string; key?: string }) => {
    if (more.cert !== undefined) writeFileSync(files.cert, more.cert);
    if (more.key !== undefined) writeFileSync(files.key, more.key);
    vi.advanceTimersByTime(10_000);
  };
  const inUse = { cert: pem(first, ca), key: keyPem(first.privateKey) };
  const renewed = { cert: pem(second, ca), key: keyPem(second.privateKey) };
  const used: TlsMaterial[] = [];
  const refused: string[] = [];
  const error = (fields: object) => void refused.push((fields as { err: Error }).err.message);
  const log = { debug() {}, info() {}, warn() {}, error };
  vi.useFakeTimers();
  write(inUse);
  const stop = watchTls(files, inUse, 'https://mdm.example.com', systemClock, log, (material) => used.push(material));

  write({});
  expect([used, refused]).toEqual([[], []]);
  write({ cert: renewed.cert });
  expect([used, refused]).toEqual([[], [expect.stringContaining('tls_key_mismatch')]]);
  write({ key: renewed.key });
  expect(used).toEqual([renewed]);
  write({ cert: 'garbage' });
  expect(refused.splice(1)).toEqual([expect.stringContaining('tls_chain_incomplete')]);
  write({ cert: pem(leaf({ extensions: { extendedKeyUsage: [] } }, rsa('tls second')), ca) });
  expect(refused.splice(1)).toEqual([expect.stringContaining('tls_server_auth_missing')]);
  write(inUse);
  expect(used).toEqual([renewed, inUse]);
  stop();
  write(renewed);
  expect(used).toHaveLength(2);
});
