import { type ErrorCode, EspalierError } from '../core/errors.ts';
import { ProfileInvalidError, ProfileSetInvalidError } from '../profiles/types.ts';
import { renderedEntry, renderedFinding } from './render-finding.ts';

interface ProblemKind {
  readonly status: number;
  readonly title: string;
}

/**
 * The only place where an error becomes HTTP: total over the vocabulary, so a new code does not compile without its row.
 * No row says 401 but `unauthorized`, which only the admin API raises: a device answered 401 unenrols (CHK-06).
 */
const PROBLEMS: Record<ErrorCode, ProblemKind> = {
  plist_malformed: { status: 400, title: 'The property list cannot be read' },
  plist_too_large: { status: 413, title: 'The property list is too large' },
  plist_too_deep: { status: 400, title: 'The property list is nested too deeply' },
  plist_too_many_nodes: { status: 400, title: 'The property list has too many values' },
  plist_entity_refused: { status: 400, title: 'The property list declares entities' },
  plist_duplicate_key: { status: 400, title: 'The property list says a decisive key twice' },
  plist_binary_refused: { status: 400, title: 'A binary property list is not accepted here' },
  plist_unencodable: { status: 400, title: 'A value has no property list form' },
  asn1_malformed: { status: 400, title: 'The ASN.1 cannot be read' },
  asn1_too_deep: { status: 400, title: 'The ASN.1 is nested too deeply' },
  asn1_too_many_nodes: { status: 400, title: 'The ASN.1 has too many values' },
  cms_malformed: { status: 400, title: 'The CMS message cannot be read' },
  cms_signature_invalid: { status: 400, title: 'The CMS signature does not verify' },
  cms_algorithm_refused: { status: 400, title: 'The CMS message uses an algorithm that is not accepted' },
  cms_no_recipient: { status: 400, title: 'The CMS message is not for this server' },
  cms_decrypt_failed: { status: 400, title: 'The CMS message cannot be decrypted' },
  certificate_malformed: { status: 400, title: 'The certificate cannot be read' },
  certificate_request_malformed: { status: 400, title: 'The certificate request cannot be read' },
  certificate_request_signature_invalid: { status: 400, title: 'The certificate request is not signed by its key' },
  mdm_message_malformed: { status: 400, title: 'The MDM message cannot be read' },
  mdm_message_type_unknown: { status: 400, title: 'The MessageType is not known' },
  mdm_topic_mismatch: { status: 400, title: 'The Topic is not the one of this server' },
  mdm_identity_missing: { status: 400, title: 'The request carries no device identity' },
  mdm_identity_invalid: { status: 400, title: 'The device identity does not verify' },
  mdm_identity_untrusted: { status: 400, title: 'The device identity was not issued here' },
  mdm_identity_mismatch: { status: 403, title: 'The identity belongs to another device' },
  mdm_enrollment_unknown: { status: 403, title: 'The device is not enrolled here' },
  mdm_user_not_managed: { status: 410, title: 'This user is not managed' },
  mdm_endpoint_unknown: { status: 400, title: 'The endpoint is not known' },
  enroll_code_invalid: { status: 404, title: 'This enrolment link is not valid' },
  enroll_code_exhausted: { status: 410, title: 'This enrolment link has been used up or has expired' },
  push_certificate_missing: { status: 409, title: 'There is no push certificate' },
  push_certificate_invalid: { status: 422, title: 'The push certificate cannot be used' },
  scep_message_malformed: { status: 400, title: 'The SCEP message cannot be read' },
  scep_operation_unknown: { status: 400, title: 'The SCEP operation is not known' },
  request_malformed: { status: 400, title: 'The request cannot be read' },
  request_too_large: { status: 413, title: 'The request is too large' },
  request_unsupported_encoding: { status: 415, title: 'The encoding is not accepted' },
  request_timeout: { status: 408, title: 'The request took too long' },
  method_not_allowed: { status: 405, title: 'The method is not allowed here' },
  not_found: { status: 404, title: 'There is nothing here' },
  conflict: { status: 409, title: 'The request conflicts with the present state' },
  unauthorized: { status: 401, title: 'The token is missing or not valid' },
  forbidden: { status: 403, title: 'The token may not do this' },
  host_not_found: { status: 404, title: 'There is no such host' },
  team_not_found: { status: 404, title: 'There is no such team' },
  team_exists: { status: 409, title: 'A team of this name exists' },
  label_not_found: { status: 404, title: 'There is no such label' },
  label_exists: { status: 409, title: 'A label of this name exists' },
  profile_not_found: { status: 404, title: 'There is no such profile' },
  profile_malformed: { status: 400, title: 'The profile cannot be read' },
  profile_invalid: { status: 422, title: 'The profile would be refused or do harm' },
  profile_identifier_exists: { status: 409, title: 'A profile with this identifier exists' },
  command_invalid: { status: 422, title: 'The command is not valid' },
  command_not_found: { status: 404, title: 'There is no such command' },
  osquery_enroll_secret_invalid: { status: 200, title: 'The enroll secret is not valid' },
  osquery_node_unknown: { status: 200, title: 'The node key is not known' },
  settings_invalid: { status: 500, title: 'The settings are not valid' },
  kek_missing: { status: 500, title: 'There is no key-encryption key' },
  sealed_value_unreadable: { status: 500, title: 'A sealed value cannot be opened' },
  data_folder_in_use: { status: 500, title: 'The data folder is in use' },
  schema_newer: { status: 500, title: 'The database is newer than this program' },
  store_unavailable: { status: 503, title: 'The database cannot be reached' },
  service_unavailable: { status: 503, title: 'The server is busy' },
  internal_error: { status: 500, title: 'Something went wrong here' },
};

export interface Problem {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** RFC 9457 problem+json. An unknown throw becomes the same neutral internal_error: its text stays in the log. */
export function problemOf(thrown: unknown, requestId: string): Problem {
  const error = thrown instanceof EspalierError ? thrown : new EspalierError('internal_error', 'the log has the cause');
  const kind = PROBLEMS[error.code];
  const headers: Record<string, string> = { 'content-type': 'application/problem+json', 'cache-control': 'no-store' };
  // Seconds. A device or agent that gets 503 keeps its report and comes back.
  if (kind.status === 503) headers['retry-after'] = '15';
  // RFC 9110 §11.6.1
  if (kind.status === 401) headers['www-authenticate'] = 'Bearer';
  const body = {
    type: `urn:espalier:problem:${error.code}`,
    title: kind.title,
    status: kind.status,
    code: error.code,
    detail: error.message,
    ...(error.fix === undefined ? {} : { fix: error.fix }),
    ...(error.place === undefined ? {} : { place: error.place }),
    ...findingsOf(error),
    request_id: requestId,
  };
  return { status: kind.status, headers, body: Buffer.from(JSON.stringify(body)) };
}

function findingsOf(error: EspalierError) {
  if (error instanceof ProfileInvalidError)
    return { lines_of: error.linesOf, findings: error.findings.map(renderedFinding) };
  return error instanceof ProfileSetInvalidError ? { entries: error.entries.map(renderedEntry) } : {};
}

/** Whether the fault is ours: logged with its stack, counted, never blamed on the caller. */
export function isServerFault(problem: Problem): boolean {
  return problem.status >= 500;
}
