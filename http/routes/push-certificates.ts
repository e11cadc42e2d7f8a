import { Router } from 'express';
import { z } from 'zod';
import { json } from '../answer.ts';
import { api, jsonBody } from '../api.ts';

const Upload = z.strictObject({ certificate: z.string().min(1), private_key: z.string().min(1) });

export interface PushCertificateRoutes {
  upload(certificatePem: string, keyPem: string): Promise<{ topic: string; notAfter: Date }>;
  list(): readonly { topic: string; notAfter: Date }[];
}

export function pushCertificateRoutes(certificates: PushCertificateRoutes): Router {
  const router = Router();
  router.get(
    '/push-certificates',
    api('apiRead', [], async () => json(200, { push_certificates: certificates.list().map(rendered) })),
  );
  router.put(
    '/push-certificates',
    api('apiWrite', [], async (call) => {
      const { certificate, private_key } = jsonBody(call, Upload);
      return json(200, rendered(await certificates.upload(certificate, private_key)));
    }),
  );
  return router;
}

function rendered({ topic, notAfter }: { topic: string; notAfter: Date }) {
  return { topic, not_after: notAfter.toISOString() };
}
