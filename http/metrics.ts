import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { bodyBytesInFlight } from './body-budget.ts';

export type Metrics = ReturnType<typeof createMetrics>;

/** One registry per server, so that two servers in one test process do not count together. */
export function createMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: 'espalier_request_body_bytes',
    help: 'Bytes of request bodies held in memory',
    registers: [registry],
    collect() {
      this.set(bodyBytesInFlight());
    },
  });
  return {
    registry,
    requests: new Counter({
      name: 'espalier_http_requests_total',
      help: 'Requests answered',
      labelNames: ['route', 'status'] as const,
      registers: [registry],
    }),
    seconds: new Histogram({
      name: 'espalier_http_request_seconds',
      help: 'Seconds from the first header byte to the last byte of the answer',
      labelNames: ['route'] as const,
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
      registers: [registry],
    }),
    pushes: new Counter({
      name: 'espalier_pushes_total',
      help: 'Answers of APNs by what they mean',
      labelNames: ['verdict'] as const,
      registers: [registry],
    }),
    reconciled: new Counter({
      name: 'espalier_reconciled_total',
      help: 'Operations the reconciler decided',
      labelNames: ['op'] as const,
      registers: [registry],
    }),
    repaired: new Counter({
      name: 'espalier_audit_repairs_total',
      help: 'Enrolments the audit sweep found different from what events had said; 0 is expected',
      registers: [registry],
    }),
  };
}
