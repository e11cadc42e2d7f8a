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

/** What iOS and iPadOS take nothing of, from `supportedOS` of Apple's schema (iOS 18.1). */
const MAC_ONLY: ReadonlySet<string> = new Set([
  '.GlobalPreferences',
  'com.apple.ADCertificate.managed',
  'com.apple.Dictionary',
  'com.apple.DiscRecording',
  'com.apple.MCX',
  'com.apple.ManagedClient.preferences',
  'com.apple.NSExtension',
  'com.apple.ShareKitHelper',
  'com.apple.applicationaccess.new',
  'com.apple.appstore',
  'com.apple.associated-domains',
  'com.apple.configurationprofile.identification',
  'com.apple.dashboard',
  'com.apple.desktop',
  'com.apple.dock',
  'com.apple.familycontrols.contentfilter',
  'com.apple.familycontrols.timelimits.v2',
  'com.apple.fileproviderd',
  'com.apple.finder',
  'com.apple.firstactiveethernet.managed',
  'com.apple.firstethernet.managed',
  'com.apple.gamed',
  'com.apple.ironwood.support',
  'com.apple.loginitems.managed',
  'com.apple.mcxMenuExtras',
  'com.apple.mcxprinting',
  'com.apple.preference.security',
  'com.apple.preference.users',
  'com.apple.secondactiveethernet.managed',
  'com.apple.secondethernet.managed',
  'com.apple.system.logging',
  'com.apple.systempolicy.managed',
  'com.apple.systempreferences',
  'com.apple.systemuiserver',
  'com.apple.thirdactiveethernet.managed',
  'com.apple.thirdethernet.managed',
  'com.apple.universalaccess',
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

/** Device-only and user-only types of macOS that iOS has too. */
const ON_BOTH_SYSTEMS: ReadonlySet<string> = new Set([
  'com.apple.caldav.account',
  'com.apple.carddav.account',
  'com.apple.dnsProxy.managed',
  'com.apple.dnsSettings.managed',
  'com.apple.education',
  'com.apple.ldap.account',
  'com.apple.mail.managed',
  'com.apple.mdm',
  'com.apple.proxy.http.global',
  'com.apple.security.certificatetransparency',
  'com.apple.webClip.managed',
  'com.apple.webcontent-filter',
]);

export const isMacOnly = (payloadType: string): boolean =>
  MAC_ONLY.has(payloadType) ||
  ((DEVICE_ONLY.has(payloadType) || USER_ONLY.has(payloadType)) && !ON_BOTH_SYSTEMS.has(payloadType));

export function isAllowedOn(channel: Channel, payloadType: string): boolean {
  return !(channel === 'device' ? USER_ONLY : DEVICE_ONLY).has(payloadType);
}
