/** A push certificate that comes frees what waited for it, without waiting for the audit. */
import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { pushCertificates } from '../../simulator/push-certificate.ts';
import { payload, upload } from '../profiles/mobileconfigs.ts';
import { hasPostgres } from '../support/databases.ts';
import { endPglite } from '../support/pglite-pool.ts';
import { type EnrolledHost, enrolledHost } from '../support/rows.ts';
import { startTestServer } from './started-server.ts';

const { push } = pushCertificates(undefined);
const EVERY_MS = 20;

for (const kind of ['pglite', 'postgres'] as const) {
  describe.skipIf(kind === 'postgres' && !hasPostgres)(kind, () => {
    it('what waits for a push certificate is queued when it comes', async () => {
      let host: EnrolledHost | undefined;
      const server = await startTestServer(kind, async (db) => {
        host = await enrolledHost(db);
        await sql`update enrollment set topic = ${push.topic}`.execute(db.read);
        await sql`insert into recon (enrollment_id, team_id, actual_known) values (${host.enrollment}, 1, true)`.execute(
          db.read,
        );
      });
      const states = async (): Promise<unknown[]> => {
        const { text } = await server.admin({ method: 'GET', path: `/api/v1/hosts/${host?.udid}/profiles` });
        return JSON.parse(text).profiles.map(({ state, waiting }: Record<string, unknown>) => [state, waiting]);
      };
      const commands = async (): Promise<number> => {
        const { text } = await server.admin({ method: 'GET', path: `/api/v1/hosts/${host?.udid}/commands` });
        return JSON.parse(text).commands.filter(
          (one: { request_type: string }) => one.request_type === 'InstallProfile',
        ).length;
      };
      try {
        const body = upload({ PayloadIdentifier: 'com.example.waits', PayloadContent: [payload(1)] });
        await server.admin({ method: 'POST', path: '/api/v1/profiles', body });
        expect(await states()).toEqual([['waiting', 'no_push_certificate']]);
        // The first tick audits all there is; after it nobody but the upload can make the command.
        await new Promise((resolve) => setTimeout(resolve, 1500));
        expect(await commands()).toBe(0);
        const put = JSON.stringify({ certificate: push.certificate, private_key: push.key });
        expect((await server.admin({ method: 'PUT', path: '/api/v1/push-certificates', body: put })).status).toBe(200);
        for (let waited = 0; waited < 5000 && (await commands()) === 0; waited += EVERY_MS)
          await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
        expect(await commands()).toBe(1);
        expect(await states()).toEqual([['pending', null]]);
      } finally {
        await server.stop();
        await endPglite();
      }
    });
  });
}
