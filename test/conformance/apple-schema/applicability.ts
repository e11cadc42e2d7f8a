import type { Context, Finding, OsBlock, Rule, SchemaKey } from './types.ts';

/** A Mac under MDM is supervised since macOS 11 however it enrolled, save for a user enrolment. */
function isSupervised(context: Context): boolean {
  if (context.supervised !== undefined) return context.supervised;
  if (context.enrollment === 'user') return false;
  if (context.enrollment === 'ade' || context.enrollment === 'shared-ipad') return true;
  return context.os === 'macOS' && compareVersions(context.version, '11.0') >= 0;
}

function compareVersions(left: string, right: string): number {
  const a = left.split('.').map(Number);
  const b = right.split('.').map(Number);
  for (let index = 0; index < Math.max(a.length, b.length); index += 1) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Apple's names are not consistent: two of these pairs mean the same bit. `None`, `n/a` and `Special Case` need none. */
const ACCESS_RIGHTS: ReadonlyMap<string, number> = new Map([
  ['AllowInspection', 1],
  ['AllowInstallationRemoval', 2],
  ['AllowPasscodeRemovalAndLock', 4],
  ['DeviceLockAndRemovePasscode', 4],
  ['AllowDeviceErase', 8],
  ['AllowQueryDeviceInformation', 16],
  ['AllowQueryNetworkInformation', 32],
  ['AllowProvisioningInspection', 64],
  ['AllowProvisioningInstallationRemoval', 128],
  ['AllowQueryApplications', 256],
  ['QueryInstalledApps', 256],
  ['AllowQueryRestrictions', 512],
  ['AllowQuerySecurity', 1024],
  ['AllowSettings', 2048],
  ['AllowAppInstallation', 4096],
]);

interface Obstacle {
  readonly rule: Rule;
  readonly why: string;
}

/**
 * Why something with this block does not exist for such a device, or undefined. The order is the one in which the
 * effective rule is found: system, channel, enrolment kind, rights.
 */
export function obstacle(block: OsBlock | undefined, context: Context): Obstacle | undefined {
  if (block === undefined) return undefined;
  const where = `${context.os} ${context.version}`;
  if (block.introduced === 'n/a') return { rule: 'os', why: `${context.os} does not have it` };
  if (isVersion(block.introduced) && compareVersions(context.version, block.introduced) < 0) {
    return { rule: 'os', why: `introduced in ${block.introduced}, not in ${where}` };
  }
  if (isVersion(block.removed) && compareVersions(context.version, block.removed) >= 0) {
    return { rule: 'os', why: `removed in ${block.removed}, gone in ${where}` };
  }
  const channels = context.enrollment === 'shared-ipad' ? (block.sharedipad ?? {}) : block;
  if (channels[context.channel === 'device' ? 'devicechannel' : 'userchannel'] === false) {
    return { rule: 'channel', why: `not on the ${context.channel} channel` };
  }
  if (modeOf(block, context) === 'forbidden') {
    return { rule: 'enrollment', why: `forbidden in ${context.enrollment} enrolments` };
  }
  if (block.supervised === true && !isSupervised(context)) return { rule: 'enrollment', why: 'needs supervision' };
  if (block.requiresdep === true && context.enrollment !== 'ade' && context.enrollment !== 'shared-ipad') {
    return { rule: 'enrollment', why: 'needs Automated Device Enrolment' };
  }
  if (block.userapprovedmdm === true && context.userApproved === false) {
    return { rule: 'enrollment', why: 'needs an enrolment the user approved' };
  }
  if (block.allowmanualinstall === false && context.delivery === 'manual') {
    return { rule: 'enrollment', why: 'cannot be installed by hand' };
  }
  return missingRight(block, context);
}

function missingRight(block: OsBlock, context: Context): Obstacle | undefined {
  const bit = ACCESS_RIGHTS.get(block.accessrights ?? '');
  if (context.accessRights === undefined || bit === undefined || context.enrollment === 'user') return undefined;
  if ((context.accessRights & bit) !== 0) return undefined;
  return { rule: 'access-rights', why: `needs access right ${bit} (${block.accessrights})` };
}

function isVersion(text: string | undefined): text is string {
  return text !== undefined && /^\d+(\.\d+)*$/.test(text);
}

function modeOf(block: OsBlock | undefined, context: Context): string | undefined {
  if (context.enrollment === 'user') return block?.userenrollment?.mode;
  if (context.enrollment === 'shared-ipad') return block?.sharedipad?.mode;
  return undefined;
}

/**
 * Whether a key must be there: its presence, overridden by its own block. A key that an enrolment kind makes `required`
 * is `required` only there, whatever its presence says: TokenUpdate lists both UDID and EnrollmentID as required.
 */
export function isRequired(key: SchemaKey, context: Context): boolean {
  const block = key.os?.[context.os];
  if (obstacle(block, context) !== undefined) return false;
  const mode = modeOf(block, context);
  if (mode === 'required') return true;
  if (mode === 'ignored') return false;
  const elsewhere = block?.userenrollment?.mode === 'required' || block?.sharedipad?.mode === 'required';
  return key.presence === 'required' && !elsewhere;
}

/** What is to be said of a key that is there, before its value is looked at. */
export function keyFindings(key: SchemaKey, context: Context, path: string): readonly Finding[] {
  return blockFindings(key.os?.[context.os], context, path, key.key);
}

export function blockFindings(
  block: OsBlock | undefined,
  context: Context,
  path: string,
  name: string,
): readonly Finding[] {
  const found = obstacle(block, context);
  if (found !== undefined) return [{ path, rule: found.rule, message: `${name}: ${found.why}`, severity: 'error' }];
  if (modeOf(block, context) === 'ignored') {
    return [{ path, rule: 'enrollment', message: `${name} is ignored in such an enrolment`, severity: 'warning' }];
  }
  if (isVersion(block?.deprecated) && compareVersions(context.version, block.deprecated) >= 0) {
    return [{ path, rule: 'deprecated', message: `${name}: deprecated in ${block.deprecated}`, severity: 'warning' }];
  }
  return [];
}
