import { Router } from 'express';
import { z } from 'zod';
import type { EnrollmentRef } from '../../core/enrollment.ts';
import { EspalierError } from '../../core/errors.ts';
import type { Enqueue } from '../../mdm/enqueue.ts';
import type { CommandDetail, CommandView, EnrollmentView } from '../../mdm/types.ts';
import { json } from '../answer.ts';
import { type ApiCall, api, namesOf, queryOfShape, segment } from '../api.ts';

const MAX_COMMANDS = 200;
const Target = z.strictObject({ channel: z.enum(['device', 'user']).default('device'), user: z.string().optional() });
const List = z.strictObject({ limit: z.coerce.number().int().min(1).max(MAX_COMMANDS).default(50) });

export interface CommandRoutes {
  readonly enqueue: Enqueue;
  /** Errors: host_not_found. */
  readonly hostId: (ref: string) => Promise<string>;
  readonly enrollmentsOfHost: (hostId: string) => Promise<readonly EnrollmentView[]>;
  readonly list: (enrollments: readonly EnrollmentRef[], limit: number) => Promise<readonly CommandView[]>;
  readonly get: (enrollment: EnrollmentRef, commandUuid: string) => Promise<CommandDetail | undefined>;
}

/** Commands of one host: any RequestType as a raw property list, as NanoMDM takes them. */
export function commandRoutes(deps: CommandRoutes): Router {
  const router = Router();

  async function enrollments(call: ApiCall): Promise<readonly EnrollmentView[]> {
    return deps.enrollmentsOfHost(await deps.hostId(segment(call, 'host')));
  }

  router.get(
    '/hosts/:host/commands',
    api('apiRead', namesOf(List), async (call) => {
      const { limit } = queryOfShape(call, List);
      const refs = (await enrollments(call)).map((enrollment) => enrollment.ref);
      return json(200, { commands: (await deps.list(refs, limit)).map(summary) });
    }),
  );

  router.post(
    '/hosts/:host/commands',
    api('apiProfile', namesOf(Target), async (call) => {
      const { channel, user } = queryOfShape(call, Target);
      const targets = (await enrollments(call)).filter(
        (e) => e.channel === channel && e.state === 'enrolled' && (user === undefined || e.userShortName === user),
      );
      if (targets.length === 0) {
        throw new EspalierError('command_invalid', `the host has no live ${channel} channel`, {
          fix: 'Wait for the Mac to enrol; GET the host to see its enrolments.',
        });
      }
      const queued = await deps.enqueue.raw(
        call.body,
        targets.map((target) => target.enrollmentId),
      );
      return json(202, {
        command_uuid: queued.commandUuid,
        request_type: queued.requestType,
        enrollment_ids: queued.enrollmentIds,
      });
    }),
  );

  router.get(
    '/hosts/:host/commands/:uuid',
    api('apiRead', [], async (call) => {
      const uuid = segment(call, 'uuid');
      for (const { ref } of await enrollments(call)) {
        const found = await deps.get(ref, uuid);
        if (found !== undefined) return json(200, detail(found));
      }
      throw new EspalierError('command_not_found', `the host never had a command ${JSON.stringify(uuid)}`);
    }),
  );
  return router;
}

function summary(command: CommandView) {
  return {
    command_uuid: command.commandUuid,
    enrollment_id: command.enrollmentId,
    request_type: command.requestType,
    origin: command.origin,
    state: command.state,
    orphan: command.orphan,
    deliveries: command.deliveries,
    not_now_count: command.notNowCount,
    duplicate_reports: command.duplicateReports,
    error_chain: command.errorChain,
    queued_at: command.queuedAt ?? null,
    sent_at: command.sentAt ?? null,
    finished_at: command.finishedAt ?? null,
  };
}

function detail(command: CommandDetail) {
  return {
    ...summary(command),
    command: command.command?.toString('utf8') ?? null,
    // As the device sent it: XML, or binary, which is why it travels as base64.
    result_base64: command.result?.toString('base64') ?? null,
    truncated: command.truncated,
  };
}
