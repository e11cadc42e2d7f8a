/** Identifiers that begin so are ours: the enrolment profile and whatever else the server itself installs. */
export const RESERVED_IDENTIFIER_PREFIX = 'org.espalier.';

export function isReservedIdentifier(identifier: string): boolean {
  return identifier.toLowerCase().startsWith(RESERVED_IDENTIFIER_PREFIX);
}

/** Payload types that no uploaded profile may carry, and why. */
export const FORBIDDEN_PAYLOAD_TYPES: ReadonlyMap<string, string> = new Map([
  ['com.apple.mdm', 'a second MDM payload would replace or break this enrolment'],
]);

const ESCROWED_ELSEWHERE =
  'the recovery key goes to whoever holds the key of the certificate in this profile, and this server does not';

/**
 * Taken with a warning. Another server's escrow must go on until this one's takes over, so refusing its profile would leave
 * Macs without any; but nobody should think that keys sent elsewhere arrive here. Turning FileVault on
 * (`com.apple.MCX.FileVault2`) sends no key anywhere and needs no warning.
 */
export const ESCROW_PAYLOAD_TYPES: ReadonlyMap<string, string> = new Map([
  ['com.apple.security.FDERecoveryKeyEscrow', ESCROWED_ELSEWHERE],
  ['com.apple.security.FDERecoveryRedirect', ESCROWED_ELSEWHERE],
]);

/**
 * macOS payload types of one channel only: Apple's schema (macOS 15.1, mdm/profiles, keys devicechannel and userchannel).
 * A Mac refuses the whole profile when one of its payloads is on the wrong channel (PRF-03). `com.apple.MCX` is in
 * neither set: its variants differ.
 */
export const USER_CHANNEL_ONLY: ReadonlySet<string> = new Set([
  'com.apple.AIM.account',
  'com.apple.caldav.account',
  'com.apple.carddav.account',
  'com.apple.education',
  'com.apple.ews.account',
  'com.apple.jabber.account',
  'com.apple.ldap.account',
  'com.apple.mail.managed',
  'com.apple.screensaver.user',
  'com.apple.security.certificatepreference',
  'com.apple.security.identitypreference',
  'com.apple.webClip.managed',
]);

export const DEVICE_CHANNEL_ONLY: ReadonlySet<string> = new Set([
  'com.apple.AssetCache.managed',
  'com.apple.DirectoryService.managed',
  'com.apple.MCX.FileVault2',
  'com.apple.MCX.TimeMachine',
  'com.apple.SoftwareUpdate',
  'com.apple.SystemConfiguration',
  'com.apple.TCC.configuration-profile-policy',
  'com.apple.asam',
  'com.apple.dnsProxy.managed',
  'com.apple.dnsSettings.managed',
  'com.apple.loginwindow',
  'com.apple.lom',
  'com.apple.mcxloginscripts',
  'com.apple.mdm',
  'com.apple.proxy.http.global',
  'com.apple.screensaver',
  'com.apple.security.FDERecoveryKeyEscrow',
  'com.apple.security.FDERecoveryRedirect',
  'com.apple.security.certificatetransparency',
  'com.apple.security.firewall',
  'com.apple.security.smartcard',
  'com.apple.servicemanagement',
  'com.apple.syspolicy.kernel-extension-policy',
  'com.apple.system-extension-policy',
  'com.apple.systemmigration',
  'com.apple.systempolicy.control',
  'com.apple.systempolicy.rule',
  'com.apple.vpn.managed.appmapping',
  'com.apple.webcontent-filter',
  'com.apple.xsan',
  'com.apple.xsan.preferences',
  'loginwindow',
]);

/** Spellings of other servers' variables and of ours: they would travel as literal text and look like a setting. */
export const VARIABLE = /\$\{?(?:ESPALIER|FLEET_VAR|FLEET_SECRET|ENROLLED_DEVICE)[_.][A-Za-z0-9_.]+\}?/;
