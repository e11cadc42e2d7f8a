/** Which systems take a payload type, and where a User Enrolment does not. Letters: m macOS, i iOS and iPadOS, t tvOS, v visionOS, w watchOS. */
export type SystemLetter = 'm' | 'i' | 't' | 'v' | 'w';

export interface PayloadSupport {
  readonly systems: string;
  readonly forbiddenInUserEnrollment: string;
}

/**
 * Apple's schema (device-management of macOS 15.1, mdm/profiles: `supportedOS`, `userenrollment.mode`), as systems, systems
 * whose User Enrolment forbids it, types. A type that is not here is anybody's; `test/conformance/tables.test.ts` holds this to the data.
 */
const GROUPS: readonly (readonly [systems: string, forbidden: string, types: readonly string[]])[] = [
  ['i', '', ['com.apple.cellularprivatenetwork.managed', 'com.apple.sso']],
  [
    'i',
    'i',
    [
      'com.apple.apn.managed',
      'com.apple.networkusagerules',
      'com.apple.osxserver.account',
      'com.apple.shareddeviceconfiguration',
    ],
  ],
  ['it', 'i', ['com.apple.app.lock', 'com.apple.homescreenlayout', 'com.apple.tvremote']],
  [
    'iv',
    '',
    [
      'com.apple.eas.account',
      'com.apple.google-oauth',
      'com.apple.security.certificaterevocation',
      'com.apple.subscribedcalendar.account',
    ],
  ],
  ['iw', 'i', ['com.apple.cellular']],
  [
    'm',
    '',
    [
      'com.apple.ADCertificate.managed',
      'com.apple.DirectoryService.managed',
      'com.apple.associated-domains',
      'com.apple.configurationprofile.identification',
      'com.apple.ews.account',
      'com.apple.fileproviderd',
      'com.apple.firstactiveethernet.managed',
      'com.apple.firstethernet.managed',
      'com.apple.loginitems.managed',
      'com.apple.preference.users',
      'com.apple.secondactiveethernet.managed',
      'com.apple.secondethernet.managed',
      'com.apple.security.certificatepreference',
      'com.apple.security.identitypreference',
      'com.apple.thirdactiveethernet.managed',
      'com.apple.thirdethernet.managed',
      'com.apple.vpn.managed.appmapping',
    ],
  ],
  [
    'm',
    'm',
    [
      '.GlobalPreferences',
      'com.apple.AIM.account',
      'com.apple.AssetCache.managed',
      'com.apple.Dictionary',
      'com.apple.DiscRecording',
      'com.apple.MCX',
      'com.apple.MCX.FileVault2',
      'com.apple.MCX.TimeMachine',
      'com.apple.ManagedClient.preferences',
      'com.apple.NSExtension',
      'com.apple.ShareKitHelper',
      'com.apple.SoftwareUpdate',
      'com.apple.SystemConfiguration',
      'com.apple.TCC.configuration-profile-policy',
      'com.apple.applicationaccess.new',
      'com.apple.appstore',
      'com.apple.asam',
      'com.apple.dashboard',
      'com.apple.desktop',
      'com.apple.dock',
      'com.apple.familycontrols.contentfilter',
      'com.apple.familycontrols.timelimits.v2',
      'com.apple.finder',
      'com.apple.gamed',
      'com.apple.ironwood.support',
      'com.apple.jabber.account',
      'com.apple.loginwindow',
      'com.apple.lom',
      'com.apple.mcxMenuExtras',
      'com.apple.mcxloginscripts',
      'com.apple.mcxprinting',
      'com.apple.preference.security',
      'com.apple.screensaver',
      'com.apple.screensaver.user',
      'com.apple.security.FDERecoveryKeyEscrow',
      'com.apple.security.FDERecoveryRedirect',
      'com.apple.security.firewall',
      'com.apple.security.smartcard',
      'com.apple.servicemanagement',
      'com.apple.syspolicy.kernel-extension-policy',
      'com.apple.system-extension-policy',
      'com.apple.system.logging',
      'com.apple.systemmigration',
      'com.apple.systempolicy.control',
      'com.apple.systempolicy.managed',
      'com.apple.systempolicy.rule',
      'com.apple.systempreferences',
      'com.apple.systemuiserver',
      'com.apple.universalaccess',
      'com.apple.xsan',
      'com.apple.xsan.preferences',
      'loginwindow',
    ],
  ],
  ['mi', '', ['com.apple.airplay', 'com.apple.education', 'com.apple.webClip.managed']],
  ['mi', 'mi', ['com.apple.SetupAssistant.managed', 'com.apple.notificationsettings']],
  ['mit', '', ['com.apple.globalethernet.managed']],
  ['mit', 'mi', ['com.apple.profileRemovalPassword']],
  ['mitv', 'm', ['com.apple.relay.managed']],
  ['mitv', 'miv', ['com.apple.proxy.http.global', 'com.apple.vpn.managed']],
  [
    'mitvw',
    '',
    [
      'CommonPayloadKeys',
      'TopLevel',
      'com.apple.applicationaccess',
      'com.apple.mdm',
      'com.apple.security.acme',
      'com.apple.security.certificatetransparency',
      'com.apple.security.pem',
      'com.apple.security.pkcs1',
      'com.apple.security.pkcs12',
      'com.apple.security.root',
      'com.apple.security.scep',
      'com.apple.wifi.managed',
    ],
  ],
  ['mitvw', 'miv', ['com.apple.declarations']],
  [
    'miv',
    '',
    [
      'com.apple.airprint',
      'com.apple.caldav.account',
      'com.apple.carddav.account',
      'com.apple.extensiblesso',
      'com.apple.font',
      'com.apple.ldap.account',
      'com.apple.mail.managed',
    ],
  ],
  ['miv', 'm', ['com.apple.dnsProxy.managed', 'com.apple.webcontent-filter']],
  ['miv', 'miv', ['com.apple.dnsSettings.managed', 'com.apple.domains']],
  ['mivw', '', ['com.apple.vpn.managed.applayer']],
  ['mivw', 'm', ['com.apple.mobiledevice.passwordpolicy']],
  ['t', '', ['com.apple.airplay.security', 'com.apple.conferenceroomdisplay']],
];

const SUPPORT: ReadonlyMap<string, PayloadSupport> = new Map(
  GROUPS.flatMap(([systems, forbiddenInUserEnrollment, types]) =>
    types.map((type) => [type, { systems, forbiddenInUserEnrollment }] as const),
  ),
);

export function payloadSupport(type: string): PayloadSupport | undefined {
  return SUPPORT.get(type);
}
