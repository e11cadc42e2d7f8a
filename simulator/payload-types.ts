import type { Channel } from '../core/enrollment.ts';

/**
 * Which channel a payload type may be installed on, from `devicechannel` and `userchannel` of Apple's schema for
 * macOS 15.1. A type that is in neither list goes on both; an unknown type too, since macOS passes it to its plug-ins.
 */
const DEVICE_ONLY: ReadonlySet<string> = new Set([
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

const USER_ONLY: ReadonlySet<string> = new Set([
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

/** FDE-10: a Mac takes one payload of such a type, whichever profile brings it. */
export const ONE_PER_MACHINE: ReadonlySet<string> = new Set(['com.apple.security.FDERecoveryKeyEscrow']);

export const MDM_PAYLOAD = 'com.apple.mdm';
export const SCEP_PAYLOAD = 'com.apple.security.scep';

/** Certificates without a key. A self-signed one is a root a Mac then trusts for TLS. */
export const CERTIFICATE_PAYLOADS: ReadonlySet<string> = new Set([
  'com.apple.security.root',
  'com.apple.security.pkcs1',
  'com.apple.security.pem',
]);

export function isAllowedOn(channel: Channel, payloadType: string): boolean {
  return !(channel === 'device' ? USER_ONLY : DEVICE_ONLY).has(payloadType);
}
