import { z } from 'zod';
import { ApiError } from './client.ts';
import { Failure } from './failure.ts';
import { printable } from './table.ts';

export const Findings = z.array(
  z.object({
    code: z.string(),
    severity: z.enum(['error', 'warning']),
    message: z.string(),
    path: z.string(),
    line: z.number().nullable(),
    column: z.number().nullable(),
    payload: z.object({ index: z.number(), type: z.string(), identifier: z.string() }).nullable(),
  }),
);
type Finding = z.output<typeof Findings>[number];

const Refused = z.object({ lines_of: z.string(), findings: Findings });
const RefusedSet = z.object({
  entries: z.array(
    z.object({ index: z.number(), file: z.string().nullable(), lines_of: z.string(), findings: Findings }),
  ),
});

/** A file that cannot be read as a profile at all: one fault, with its place where there is one. */
const Unreadable = z.object({
  code: z.literal('profile_malformed'),
  detail: z.string(),
  place: z
    .object({ line: z.number().optional(), column: z.number().optional(), path: z.string().optional() })
    .default({}),
  fix: z.string().optional(),
});

/** `wifi.mobileconfig:12:5: error: …`, as compilers print it, so that editors find the place. */
export function findingLine(file: string, linesOf: string, finding: Finding): string {
  const { line, column, severity, message, payload, path, code } = finding;
  const place = line === null ? '' : `:${line}:${column ?? 1}`;
  // The file itself is CMS: no editor shows these lines in it.
  const inside = linesOf === 'signed_content' && line !== null ? ' (in the signed content)' : '';
  const whose = payload === null ? '' : ` [${payload.identifier || payload.type || `payload ${payload.index}`}]`;
  const where = path === '' ? '' : ` at ${path}`;
  return printable(`${file}${place}${inside}: ${severity}: ${message}${where}${whose} (${code})`);
}

/** The error of a refused upload, with a line for every finding; every other error as it is. */
export function located(error: unknown, file: string): unknown {
  if (!(error instanceof ApiError)) return error;
  const set = RefusedSet.safeParse(error.body);
  const one = Refused.safeParse(error.body);
  const unread = Unreadable.safeParse(error.body);
  if (unread.success) {
    const { detail, fix, code } = unread.data;
    const { line = null, column = null, path = '' } = unread.data.place;
    const finding = { code, severity: 'error' as const, message: detail, path, line, column, payload: null };
    return new Failure([findingLine(file, 'file', finding), ...(fix === undefined ? [] : [printable(fix)])].join('\n'));
  }
  const lines = set.success
    ? set.data.entries.flatMap((entry) =>
        entry.findings.map((finding) => findingLine(entry.file ?? `entry ${entry.index}`, entry.lines_of, finding)),
      )
    : one.success
      ? one.data.findings.map((finding) => findingLine(file, one.data.lines_of, finding))
      : [];
  return lines.length === 0 ? error : new Failure([...lines, error.message].join('\n'));
}
