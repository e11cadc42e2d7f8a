import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../../db/database.ts';
import { certPem, openssl } from '../cms/fixtures.ts';
import { eachDatabase } from '../support/databases.ts';
import { toolPath } from '../support/tool.ts';
import { serve } from './http.ts';
import { authority, harness } from './support.ts';

const scepclient = toolPath('scepclient');

/** Debian's `scep`: signs with SHA-1, encrypts with single DES whatever the capabilities say (dependencies.md §5). */
describe.skipIf(scepclient === undefined || openssl === undefined)('Debian’s scepclient', () => {
  eachDatabase((_kind, open) => {
    let db: Database;
    let folder: string;
    beforeAll(async () => {
      db = await open();
      folder = mkdtempSync(join(tmpdir(), 'espalier-scepclient-'));
    });
    afterAll(async () => {
      await db.close();
      rmSync(folder, { recursive: true, force: true });
    });

    const run = (program: string, ...args: string[]) =>
      new Promise<{ status: number; text: string }>((resolve) => {
        execFile(program, args, { cwd: folder }, (error, stdout, stderr) =>
          resolve({ status: error === null ? 0 : 1, text: stdout + stderr }),
        );
      });
    /** It keeps its CSR and its self-signed certificate beside the key, and uses them again where they exist. */
    const enrol = (url: string, challenge: string, name: string) => {
      mkdirSync(join(folder, name), { recursive: true });
      const files = ['-private-key', `${name}/client.key`, '-certificate', `${name}/client.pem`];
      return run(scepclient ?? '', ...files, '-server-url', url, '-challenge', challenge, '-cn', 'a wish', '-debug');
    };
    const read = (file: string): string => readFileSync(join(folder, file), 'utf8');

    it('enrols, and openssl verifies what it got; a used or wrong challenge gets nothing', async () => {
      const h = harness(db);
      const server = await serve(h.service);
      try {
        const challenge = await h.challenge({ serialNumber: 'C02SCEP1' });
        const enrolled = await enrol(server.url, challenge, 'mac');
        expect(enrolled.text).toContain('SUCCESS');
        expect(enrolled.status).toBe(0);
        writeFileSync(join(folder, 'ca.pem'), certPem(authority().ca));
        const verified = await run(
          openssl ?? '',
          'verify',
          '-x509_strict',
          '-purpose',
          'sslclient',
          '-attime',
          String(h.deps.clock.now().getTime() / 1000),
          '-CAfile',
          'ca.pem',
          'mac/client.pem',
        );
        expect(verified).toEqual({ status: 0, text: 'mac/client.pem: OK\n' });
        const shown = await run(openssl ?? '', 'x509', '-in', 'mac/client.pem', '-noout', '-text');
        expect(shown.text).toMatch(/Subject: O ?= ?Espalier, CN ?= ?C02SCEP1\n/);
        expect(shown.text).toMatch(/Basic Constraints: critical\s+CA:FALSE\n/);
        expect(shown.text).toMatch(/Key Usage: critical\s+Digital Signature, Key Encipherment\n/);
        expect(shown.text).toMatch(/Extended Key Usage: *\s+TLS Web Client Authentication\n/);
        expect(shown.text).toContain('Not Before: Mar  1 11:00:00 2026 GMT');
        expect(shown.text).toContain('Not After : Mar  1 12:00:00 2027 GMT');
        expect(shown.text).not.toContain('a wish');
        expect(shown.text).not.toContain('Alternative Name');

        // The same CSR again: the same certificate (SCE-09).
        const first = read('mac/client.pem');
        rmSync(join(folder, 'mac/client.pem'));
        expect((await enrol(server.url, 'unused, as the CSR exists', 'mac')).text).toContain('SUCCESS');
        expect(read('mac/client.pem')).toBe(first);
        // Its transactionID is a digest of its key, so it comes again with a fresh challenge, which then decides.
        rmSync(join(folder, 'mac/csr.pem'));
        expect((await enrol(server.url, await h.challenge(), 'mac')).text).toContain('SUCCESS');

        for (const [text, name] of [
          [challenge, 'used'],
          ['wrong', 'wrong'],
        ] as const) {
          expect((await enrol(server.url, text, name)).text).toContain('badRequest (2)');
          expect(existsSync(join(folder, name, 'client.pem'))).toBe(false);
        }
      } finally {
        await server.close();
      }
    });
  });
});
