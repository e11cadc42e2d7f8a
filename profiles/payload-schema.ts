/*
 * Made by scripts/payload-schema.mjs from Apple's device-management data, which is
 * Copyright (c) 2022-2024 Apple Inc., under the MIT licence:
 *
 * Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
 * files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
 * modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
 * Software is furnished to do so, subject to the following conditions: The above copyright notice and this permission notice
 * shall be included in all copies or substantial portions of the Software. THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY
 * OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR
 * PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
 * LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR
 * THE USE OR OTHER DEALINGS IN THE SOFTWARE.
 */

/** The data's commit in github.com/apple/device-management: macOS 15.1. */
export const PAYLOAD_SCHEMA_COMMIT = 'b6202ca2fbd31286a52eb160b67a4db7b4fe1f1f';

/**
 * PayloadType → its keys on macOS; `TopLevel` is the profile itself. A row is `name:type` joined by `|`, with `!` where Apple
 * requires the key, and what a dict or an array holds in brackets; an item of an array has no name, `ANY` is every other
 * name. Types: s string, i integer, r real, b boolean, t date, x data, a array, d dict, * anything.
 */
export const PAYLOAD_SCHEMA: ReadonlyMap<string, string> = new Map([
  ['.GlobalPreferences', 'MultipleSessionEnabled:b|com.apple.autologout.AutoLogOutDelay:r'],
  [
    'TopLevel',
    'PayloadDescription:s|PayloadDisplayName:s|HasRemovalPasscode:b|PayloadOrganization:s|PayloadRemovalDisallowed:b|RemovalDate:t|DurationUntilRemoval:r|PayloadExpirationDate:t|TargetDeviceType:i|ConsentText:*',
  ],
  [
    'com.apple.ADCertificate.managed',
    'CertServer:s!|CertTemplate:s!|Description:s|CertificateRenewalTimeInterval:i|CertificateAuthority:s|CertificateAcquisitionMechanism:s|AllowAllAppsAccess:b|PromptForCredentials:b|KeyIsExtractable:b|Keysize:i|EnableAutoRenewal:b',
  ],
  [
    'com.apple.AIM.account',
    'AIMAccountDescription:s|AIMHostName:s!|AIMUserName:s|AIMPassword:s|AIMUseSSL:b|AIMPort:i|AIMAuthentication:s!',
  ],
  [
    'com.apple.AssetCache.managed',
    'AllowCacheDelete:b|AllowPersonalCaching:b|AllowSharedCaching:b|AutoActivation:b|AutoEnableTetheredCaching:b|CacheLimit:i|DataPath:s|DenyTetheredCaching:b|DisplayAlerts:b|KeepAwake:b|ListenRanges:a(:d(type:s|first:s!|last:s!))|ListenRangesOnly:b|ListenWithPeersAndParents:b|LocalSubnetsOnly:b|LogClientIdentity:b|Parents:a(:s!)|ParentSelectionPolicy:s|PeerFilterRanges:a(:d(type:s|first:s!|last:s!))|PeerListenRanges:a(:d(type:s|first:s!|last:s!))|PeerLocalSubnetsOnly:b|Port:i|PublicRanges:a(:d(type:s|first:s!|last:s!))',
  ],
  ['com.apple.Dictionary', 'parentalControl:b!'],
  [
    'com.apple.DirectoryService.managed',
    'HostName:s!|UserName:s|Password:s|ClientID:s|Description:s|ADOrganizationalUnit:s|ADMountStyle:s|ADCreateMobileAccountAtLoginFlag:b|ADCreateMobileAccountAtLogin:b|ADWarnUserBeforeCreatingMAFlag:b|ADWarnUserBeforeCreatingMA:b|ADForceHomeLocalFlag:b|ADForceHomeLocal:b|ADUseWindowsUNCPathFlag:b|ADUseWindowsUNCPath:b|ADAllowMultiDomainAuthFlag:b|ADAllowMultiDomainAuth:b|ADDefaultUserShellFlag:b|ADDefaultUserShell:s|ADMapUIDAttributeFlag:b|ADMapUIDAttribute:s|ADMapGIDAttributeFlag:b|ADMapGIDAttribute:s|ADMapGGIDAttributeFlag:b|ADMapGGIDAttribute:s|ADPreferredDCServerFlag:b|ADPreferredDCServer:s|ADDomainAdminGroupListFlag:b|ADDomainAdminGroupList:a(:s)|ADNamespaceFlag:b|ADNamespace:s|ADPacketSignFlag:b|ADPacketSign:s|ADPacketEncryptFlag:b|ADPacketEncrypt:s|ADRestrictDDNSFlag:b|ADRestrictDDNS:a(:s)|ADTrustChangePassIntervalDaysFlag:b|ADTrustChangePassIntervalDays:i',
  ],
  ['com.apple.DiscRecording', 'BurnSupport:s!'],
  [
    'com.apple.MCX',
    'EnableGuestAccount:b|DisableGuestAccount:b|com.apple.EnergySaver.desktop.ACPower:d(Display Sleep Timer:i|Disk Sleep Timer:i|System Sleep Timer:i|Reduce Processor Speed:i|Dynamic Power Step:i|Wake on LAN:i|Wake On Modem Ring:i|Automatic Restart On Power Loss:i)|com.apple.EnergySaver.portable.ACPower:d(Display Sleep Timer:i|Disk Sleep Timer:i|System Sleep Timer:i|Reduce Processor Speed:i|Dynamic Power Step:i|Wake on LAN:i|Wake On Modem Ring:i|Automatic Restart On Power Loss:i)|com.apple.EnergySaver.portable.BatteryPower:d(Display Sleep Timer:i|Disk Sleep Timer:i|System Sleep Timer:i|Reduce Processor Speed:i|Dynamic Power Step:i|Wake on LAN:i|Wake On Modem Ring:i|Automatic Restart On Power Loss:i)|com.apple.EnergySaver.desktop.Schedule:d(RepeatingPowerOn:d(eventtype:s!|weekdays:i|time:i)|RepeatingPowerOff:d(eventtype:s!|weekdays:i|time:i))|SleepDisabled:b|DestroyFVKeyOnStandby:b|dontAllowFDEDisable:b|dontAllowFDEEnable:b|com.apple.cachedaccounts.CreateAtLogin:b|com.apple.cachedaccounts.WarnOnCreate:b|cachedaccounts.WarnOnCreate.allowNever:b|cachedaccounts.expiry.delete.disusedSeconds:i|cachedaccounts.askForSecureTokenAuthBypass:b|timeServer:s|timeZone:s|RequireAdminForIBSS:b|RequireAdminForAirPortNetworkChange:b|RequireAdminToTurnAirPortOnOff:b',
  ],
  [
    'com.apple.MCX.FileVault2',
    'Enable:s!|Defer:b|UserEntersMissingInfo:b|UseRecoveryKey:b|ShowRecoveryKey:b|OutputPath:s|Certificate:x|PayloadCertificateUUID:s|Username:s|Password:s|UseKeychain:b|DeferForceAtUserLoginMaxBypassAttempts:i|DeferDontAskAtUserLogout:b|ForceEnableInSetupAssistant:b',
  ],
  [
    'com.apple.MCX.TimeMachine',
    'AutoBackup:b|BackupAllVolumes:b|BackupDestURL:s!|BackupSizeMB:i|BackupSkipSys:b|MobileBackups:b|BasePaths:a(:s!)|SkipPaths:a(:s!)',
  ],
  [
    'com.apple.ManagedClient.preferences',
    'PayloadContent:d!(ANY:d!(Forced:a(:d!(mcx_preference_settings:d!(ANY:*)))|Set-Once:a(:d!(mcx_preference_settings:d!(ANY:*)))))',
  ],
  ['com.apple.NSExtension', 'AllowedExtensions:a(:s!)|DeniedExtensions:a(:s!)|DeniedExtensionPoints:a(:s!)'],
  [
    'com.apple.SetupAssistant.managed',
    'SkipCloudSetup:b|SkipSiriSetup:b|SkipPrivacySetup:b|SkipiCloudStorageSetup:b|SkipTrueTone:b|SkipAppearance:b|SkipTouchIDSetup:b|SkipScreenTime:b|SkipAccessibility:b|SkipSetupItems:a(:s)|SkipUnlockWithWatch:b|SkipWallpaper:b',
  ],
  ['com.apple.ShareKitHelper', 'SHKAllowedShareServices:a(:s!)|SHKDeniedShareServices:a(:s!)'],
  [
    'com.apple.SoftwareUpdate',
    'CatalogURL:s|AllowPreReleaseInstallation:b|restrict-software-update-require-admin-to-install:b|AutomaticallyInstallMacOSUpdates:b|AutomaticallyInstallAppUpdates:b|AutomaticCheckEnabled:b|AutomaticDownload:b|CriticalUpdateInstall:b|ConfigDataInstall:b',
  ],
  [
    'com.apple.SystemConfiguration',
    'Proxies:d!(FTPEnable:i|FTPPassive:i|FTPPort:i|FTPProxy:s|GopherEnable:i|GopherPort:i|GopherProxy:s|HTTPEnable:i|HTTPPort:i|HTTPProxy:s|HTTPSEnable:i|HTTPSPort:i|HTTPSProxy:s|ProxyAutoConfigEnable:i|ProxyAutoConfigURLString:s|ProxyCaptiveLoginAllowed:i|RTSPEnable:i|RTSPPort:i|RTSPProxy:s|SOCKSEnable:i|SOCKSPortinteger:i|SOCKSProxy:s|FallBackAllowed:i|ExceptionsList:a(:s!))',
  ],
  [
    'com.apple.TCC.configuration-profile-policy',
    'Services:d!(AddressBook:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|Calendar:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|Reminders:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|Photos:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|Camera:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|Microphone:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|Accessibility:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|PostEvent:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|SystemPolicyAllFiles:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|SystemPolicySysAdminFiles:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|AppleEvents:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|MediaLibrary:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|FileProviderPresence:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|ListenEvent:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|ScreenCapture:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|SpeechRecognition:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|SystemPolicyDesktopFolder:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|SystemPolicyDocumentsFolder:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|SystemPolicyDownloadsFolder:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|SystemPolicyNetworkVolumes:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|SystemPolicyRemovableVolumes:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|SystemPolicyAppBundles:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|SystemPolicyAppData:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s))|BluetoothAlways:a(:d(Identifier:s!|IdentifierType:s!|CodeRequirement:s!|StaticCode:b|Allowed:b!|Authorization:s|Comment:s|AEReceiverIdentifier:s|AEReceiverIdentifierType:s|AEReceiverCodeRequirement:s)))',
  ],
  [
    'com.apple.airplay',
    'AllowList:a(:d!(DeviceID:s|DeviceName:s))|Passwords:a(:d!(DeviceName:s!|Password:s!|DeviceID:s))|Whitelist:a(:d!(DeviceID:s|DeviceName:s))',
  ],
  ['com.apple.airprint', 'AirPrint:a!(:d(IPAddress:s!|ResourcePath:s!|Port:i|ForceTLS:b))'],
  [
    'com.apple.applicationaccess',
    'allowAccountModification:b|allowActivityContinuation:b|allowAddingGameCenterFriends:b|allowAirDrop:b|allowAirPlayIncomingRequests:b|allowAirPrint:b|allowAirPrintCredentialsStorage:b|allowAirPrintiBeaconDiscovery:b|allowAppCellularDataModification:b|allowAppClips:b|allowAppInstallation:b|allowApplePersonalizedAdvertising:b|allowAppRemoval:b|allowAppsToBeHidden:b|allowAppsToBeLocked:b|allowARDRemoteManagementModification:b|allowAssistant:b|allowAssistantUserGeneratedContent:b|allowAssistantWhileLocked:b|allowAutoCorrection:b|allowAutoDim:b|allowAutomaticAppDownloads:b|allowAutomaticScreenSaver:b|allowAutoUnlock:b|allowBluetoothModification:b|allowBluetoothSharingModification:b|allowBookstore:b|allowBookstoreErotica:b|allowCallRecording:b|allowCamera:b|allowCellularPlanModification:b|allowChat:b|allowCloudAddressBook:b|allowCloudBackup:b|allowCloudBookmarks:b|allowCloudCalendar:b|allowCloudDesktopAndDocuments:b|allowCloudDocumentSync:b|allowCloudFreeform:b|allowCloudKeychainSync:b|allowCloudMail:b|allowCloudNotes:b|allowCloudPhotoLibrary:b|allowCloudPrivateRelay:b|allowCloudReminders:b|allowContentCaching:b|allowContinuousPathKeyboard:b|allowDefinitionLookup:b|allowDeviceNameModification:b|allowDeviceSleep:b|allowDiagnosticSubmission:b|allowDiagnosticSubmissionModification:b|allowDictation:b|allowEnablingRestrictions:b|allowEnterpriseAppTrust:b|allowEnterpriseBookBackup:b|allowEnterpriseBookMetadataSync:b|allowEraseContentAndSettings:b|allowESIMModification:b|allowESIMOutgoingTransfers:b|allowExplicitContent:b|allowFileSharingModification:b|allowFilesNetworkDriveAccess:b|allowFilesUSBDriveAccess:b|allowFindMyDevice:b|allowFindMyFriends:b|allowFindMyFriendsModification:b|allowFingerprintForUnlock:b|allowFingerprintModification:b|allowGameCenter:b|allowGenmoji:b|allowGlobalBackgroundFetchWhenRoaming:b|allowHostPairing:b|allowImagePlayground:b|allowImageWand:b|allowInAppPurchases:b|allowInternetSharingModification:b|allowiPhoneMirroring:b|allowiPhoneWidgetsOnMac:b|allowiTunes:b|allowiTunesFileSharing:b|allowKeyboardShortcuts:b|allowListedAppBundleIDs:a(:s)|allowLiveVoicemail:b|allowLocalUserCreation:b|allowLockScreenControlCenter:b|allowLockScreenNotificationsView:b|allowLockScreenTodayView:b|allowMailPrivacyProtection:b|allowMailSummary:b|allowManagedAppsCloudSync:b|allowManagedToWriteUnmanagedContacts:b|allowMarketplaceAppInstallation:b|allowMediaSharingModification:b|allowMultiplayerGaming:b|allowMusicService:b|allowNews:b|allowNFC:b|allowNotificationsModification:b|allowOpenFromManagedToUnmanaged:b|allowOpenFromUnmanagedToManaged:b|allowOTAPKIUpdates:b|allowPairedWatch:b|allowPassbookWhileLocked:b|allowPasscodeModification:b|allowPasswordAutoFill:b|allowPasswordProximityRequests:b|allowPasswordSharing:b|allowPersonalHotspotModification:b|allowPersonalizedHandwritingResults:b|allowPhotoStream:b|allowPodcasts:b|allowPredictiveKeyboard:b|allowPrinterSharingModification:b|allowProximitySetupToNewDevice:b|allowRadioService:b|allowRapidSecurityResponseInstallation:b|allowRapidSecurityResponseRemoval:b|allowRCSMessaging:b|allowRemoteAppleEventsModification:b|allowRemoteAppPairing:b|allowRemoteScreenObservation:b|allowSafari:b|allowScreenShot:b|allowSharedDeviceTemporarySession:b|allowSharedStream:b|allowSpellCheck:b|allowSpotlightInternetResults:b|allowStartupDiskModification:b|allowSystemAppRemoval:b|allowTimeMachineBackup:b|allowUIAppInstallation:b|allowUIConfigurationProfileInstallation:b|allowUniversalControl:b|allowUnmanagedToReadManagedContacts:b|allowUnpairedExternalBootToRecovery:b|allowUntrustedTLSPrompt:b|allowUSBRestrictedMode:b|allowVideoConferencing:b|allowVoiceDialing:b|allowVPNCreation:b|allowWallpaperModification:b|allowWebDistributionAppInstallation:b|allowWritingTools:b|autonomousSingleAppModePermittedAppIDs:a(:s)|blacklistedAppBundleIDs:a(:s)|blockedAppBundleIDs:a(:s)|enforcedFingerprintTimeout:i|enforcedSoftwareUpdateDelay:i|enforcedSoftwareUpdateMajorOSDeferredInstallDelay:i|enforcedSoftwareUpdateMinorOSDeferredInstallDelay:i|enforcedSoftwareUpdateNonOSDeferredInstallDelay:i|forceAirDropUnmanaged:b|forceAirPlayIncomingRequestsPairingPassword:b|forceAirPlayOutgoingRequestsPairingPassword:b|forceAirPrintTrustedTLSRequirement:b|forceAssistantProfanityFilter:b|forceAuthenticationBeforeAutoFill:b|forceAutomaticDateAndTime:b|forceBypassScreenCaptureAlert:b|forceClassroomAutomaticallyJoinClasses:b|forceClassroomRequestPermissionToLeaveClasses:b|forceClassroomUnpromptedAppAndDeviceLock:b|forceClassroomUnpromptedScreenObservation:b|forceDelayedAppSoftwareUpdates:b|forceDelayedMajorSoftwareUpdates:b|forceDelayedSoftwareUpdates:b|forceEncryptedBackup:b|forceITunesStorePasswordEntry:b|forceLimitAdTracking:b|forceOnDeviceOnlyDictation:b|forceOnDeviceOnlyTranslation:b|forcePreserveESIMOnErase:b|forceWatchWristDetection:b|forceWiFiPowerOn:b|forceWiFiToAllowedNetworksOnly:b|forceWiFiWhitelisting:b|ratingApps:i|ratingMovies:i|ratingRegion:s|ratingTVShows:i|requireManagedPasteboard:b|safariAcceptCookies:r|safariAllowAutoFill:b|safariAllowJavaScript:b|safariAllowPopups:b|safariForceFraudWarning:b|whitelistedAppBundleIDs:a(:s)',
  ],
  [
    'com.apple.applicationaccess.new',
    'familyControlsEnabled:b!|whiteList:a(:d(bundleID:s!|appID:x!|detachedSignature:x|disabled:b|subApps:a(ANY:*)|displayName:s))|pathBlackList:a(:s!)|pathWhiteList:a(:s!)',
  ],
  [
    'com.apple.appstore',
    'restrict-store-require-admin-to-install:b|restrict-store-softwareupdate-only:b|restrict-store-disable-app-adoption:b|DisableSoftwareUpdateNotifications:b',
  ],
  ['com.apple.asam', 'AllowedApplications:a!(:d(BundleIdentifier:s!|TeamIdentifier:s!))'],
  [
    'com.apple.associated-domains',
    'Configuration:a!(:d(ApplicationIdentifier:s!|AssociatedDomains:a!(:s!)|EnableDirectDownloads:b))',
  ],
  [
    'com.apple.caldav.account',
    'CalDAVAccountDescription:s|CalDAVHostName:s!|CalDAVUsername:s|CalDAVPassword:s|CalDAVPrincipalURL:s|CalDAVUseSSL:b|CalDAVPort:i|VPNUUID:s',
  ],
  [
    'com.apple.carddav.account',
    'CardDAVAccountDescription:s|CardDAVHostName:s!|CardDAVUsername:s|CardDAVPassword:s|CardDAVPrincipalURL:s|CardDAVUseSSL:b|CardDAVPort:i|CommunicationServiceRules:d(DefaultServiceHandlers:d(AudioCall:s))|VPNUUID:s',
  ],
  [
    'com.apple.configurationprofile.identification',
    'PayloadIdentification:d!(UserName:s!|FullName:s!|EmailAddress:s!|AuthMethod:s!|Password:s!|Prompt:s|PromptMessage:s)',
  ],
  ['com.apple.dashboard', 'whiteListEnabled:b!|WhiteList:a!(:d(Type:s!|ID:s!))'],
  ['com.apple.declarations', 'Declarations:a!(:x!)'],
  ['com.apple.desktop', 'locked:b|override-picture-path:s'],
  [
    'com.apple.dnsProxy.managed',
    'AppBundleIdentifier:s!|ProviderBundleIdentifier:s|ProviderConfiguration:d(ANY:*)|DNSProxyUUID:s',
  ],
  [
    'com.apple.dnsSettings.managed',
    'DNSSettings:d!(DNSProtocol:s!|ServerURL:s|ServerName:s|ServerAddresses:a(:s)|SupplementalMatchDomains:a(:s))|OnDemandRules:a(:d(Action:s!|ActionParameters:a(:d(Domains:a!(:s)|DomainAction:s!))|DNSDomainMatch:a(:s)|DNSServerAddressMatch:a(:s)|InterfaceTypeMatch:s|SSIDMatch:a(:s)|URLStringProbe:s))|ProhibitDisablement:b|PayloadCertificateUUID:s',
  ],
  [
    'com.apple.dock',
    'tilesize:i|size-immutable:b|magnification:b|magnify-immutable:b|largesize:i|magsize-immutable:b|orientation:s|position-immutable:b|mineffect:s|mineffect-immutable:b|windowtabbing:s|windowtabbing-immutable:b|dblclickbehavior:s|dblclickbehavior-immutable:b|minimize-to-application:b|minintoapp-immutable:b|launchanim:b|launchanim-immutable:b|autohide:b|autohide-immutable:b|show-process-indicators:b|showindicators-immutable:b|show-recents:b|showrecents-immutable:b|contents-immutable:b|MCXDockSpecialFolders:a(:s)|AllowDockFixupOverride:b|static-only:b|static-others:a(:d(tile-data:d!(label:s!|url:s|file-type:i!|file-data:d(ANY:*))|tile-type:s!))|static-apps:a(:d(tile-data:d!(label:s!|url:s|file-type:i!|file-data:d(ANY:*))|tile-type:s!))|persistent-apps:a(:d(tile-data:d!(label:s!|url:s|file-type:i!|file-data:d(ANY:*))|tile-type:s!))|persistent-others:a(:d(tile-data:d!(label:s!|url:s|file-type:i!|file-data:d(ANY:*))|tile-type:s!))',
  ],
  [
    'com.apple.domains',
    'EmailDomains:a(:s!)|WebDomains:a(:s)|SafariPasswordAutoFillDomains:a(:s)|CrossSiteTrackingPreventionRelaxedDomains:a(:s)',
  ],
  [
    'com.apple.education',
    'OrganizationUUID:s!|OrganizationName:s!|PayloadCertificateUUID:s|LeaderPayloadCertificateAnchorUUID:a(:s!)|MemberPayloadCertificateAnchorUUID:a(:s!)|ResourcePayloadCertificateUUID:s|UserIdentifier:s!|Departments:a(:d(Name:s!|GroupBeaconIDs:a!(:i!)))|Groups:a!(:d(BeaconID:i!|Name:s!|Description:s|ImageURL:s|ConfigurationSource:s|LeaderIdentifiers:a(:s!)|MemberIdentifiers:a!(:s!)|DeviceGroupIdentifiers:a(:s!)))|Users:a!(:d(Identifier:s!|Name:s!|GivenName:s|FamilyName:s|PhoneticGivenName:s|PhoneticFamilyName:s|ImageURL:s|FullScreenImageURL:s|AppleID:s|PasscodeType:s))|DeviceGroups:a(:d(Identifier:s!|Name:s!|SerialNumbers:a!(:s!)))|ScreenObservationPermissionModificationAllowed:b',
  ],
  [
    'com.apple.ews.account',
    'EmailAddress:s|Host:s|SSL:b|OAuth:b|OAuthSignInURL:s|UserName:s|Password:s|PayloadCertificateUUID:s|AuthenticationCertificateUUID:s|allowMailDrop:b|Path:s|Port:i|ExternalHost:s|ExternalSSL:b|ExternalPath:s|ExternalPort:i',
  ],
  [
    'com.apple.extensiblesso',
    'ExtensionIdentifier:s!|TeamIdentifier:s|Type:s!|Realm:s|ExtensionData:d(cacheName:s|principalName:s|siteCode:s|certificateUUID:s|useSiteAutoDiscovery:b|credentialBundleIdACL:a(:s)|includeManagedAppsInBundleIdACL:b|includeKerberosAppsInBundleIdACL:b|domainRealmMapping:d(Realm:a(:s))|isDefaultRealm:b|customUsernameLabel:s|helpText:s|allowPasswordChange:b|allowAutomaticLogin:b|requireUserPresence:b|pwExpireOverride:i|pwNotificationDays:i|pwReqLength:i|pwReqComplexity:b|pwReqMinAge:i|pwReqHistory:i|pwReqText:s|pwReqRTFData:x|pwChangeURL:s|syncLocalPassword:b|replicationTime:i|delayUserSetup:b|monitorCredentialsCache:b|requireTLSForLDAP:b|credentialUseMode:s|preferredKDCs:a(:s!)|usePlatformSSOTGT:b|allowPlatformSSOAuthFallback:b|performKerberosOnly:b|identityIssuerAutoSelectFilter:s|allowSmartCard:b|allowPassword:b|startInSmartCardMode:b|ANY:*)|Hosts:a(:s!)|URLs:a(:s!)|ScreenLockedBehavior:s|DeniedBundleIdentifiers:a(:s!)|AuthenticationMethod:s|RegistrationToken:s|PlatformSSO:d(AuthenticationMethod:s|UseSharedDeviceKeys:b|AccountDisplayName:s|LoginFrequency:i|EnableCreateUserAtLogin:b|EnableAuthorization:b|TokenToUserMapping:d(AccountName:s|FullName:s)|NewUserAuthorizationMode:s|UserAuthorizationMode:s|AdministratorGroups:a(:s)|AdditionalGroups:a(:s)|AuthorizationGroups:d(ANY:s)|FileVaultPolicy:a(:s!)|LoginPolicy:a(:s!)|UnlockPolicy:a(:s!)|OfflineGracePeriod:i|AuthenticationGracePeriod:i|NonPlatformSSOAccounts:a(:s!))',
  ],
  [
    'com.apple.familycontrols.contentfilter',
    'restrictWeb:b!|useContentFilter:b|whitelistEnabled:b|siteWhitelist:a(:d(address:s!|pageTitle:s))|filterWhitelist:a(:s!)|filterBlacklist:a(:s!)',
  ],
  [
    'com.apple.familycontrols.timelimits.v2',
    'familyControlsEnabled:b!|time-limits:d(weekday-allowance:d(enabled:b!|rangeType:i!|start:s|end:s|secondsPerDay:i)|weekday-curfew:d(enabled:b!|rangeType:i!|start:s|end:s|secondsPerDay:i)|weekend-allowance:d(enabled:b!|rangeType:i!|start:s|end:s|secondsPerDay:i)|weekend-curfew:d(enabled:b!|rangeType:i!|start:s|end:s|secondsPerDay:i))',
  ],
  ['com.apple.fileproviderd', 'AllowManagedFileProvidersToRequestAttribution:b'],
  [
    'com.apple.finder',
    'ProhibitBurn:b|InterfaceLevel:s|ProhibitConnectTo:b|ProhibitEject:b|ProhibitGoToFolder:b|ShowExternalHardDrivesOnDesktop:b|ShowHardDrivesOnDesktop:b|ShowMountedServersOnDesktop:b|ShowRemovableMediaOnDesktop:b|WarnOnEmptyTrash:b',
  ],
  ['com.apple.firstactiveethernet.managed', 'ANY:*'],
  ['com.apple.firstethernet.managed', 'ANY:*'],
  ['com.apple.font', 'Name:s|Font:x!'],
  [
    'com.apple.gamed',
    'GKFeatureGameCenterAllowed:b|GKFeatureAccountModificationAllowed:b|GKFeatureAddingGameCenterFriendsAllowed:b|GKFeatureMultiplayerGamingAllowed:b',
  ],
  ['com.apple.globalethernet.managed', 'ANY:*'],
  ['com.apple.ironwood.support', 'Profanity Allowed:b|Ironwood Allowed:b'],
  [
    'com.apple.jabber.account',
    'JabberAccountDescription:s|JabberHostName:s!|JabberUserName:s|JabberPassword:s|JabberUseSSL:b|JabberPort:i|JabberAuthentication:s!',
  ],
  [
    'com.apple.ldap.account',
    'LDAPAccountDescription:s|LDAPAccountHostName:s!|LDAPAccountUserName:s|LDAPAccountPassword:s|LDAPAccountUseSSL:b|LDAPSearchSettings:a(:d(LDAPSearchSettingDescription:s|LDAPSearchSettingSearchBase:s!|LDAPSearchSettingScope:s))|VPNUUID:s',
  ],
  ['com.apple.loginitems.managed', 'AutoLaunchedApplicationDictionary-managed:a!(:d!(Path:s!|Hide:b))'],
  [
    'com.apple.loginwindow',
    'SHOWFULLNAME:b|HideLocalUsers:b|IncludeNetworkUser:b|HideAdminUsers:b|SHOWOTHERUSERS_MANAGED:b|AdminHostInfo:s|AllowList:a(:s!)|DenyList:a(:s!)|HideMobileAccounts:b|ShutDownDisabled:b|RestartDisabled:b|SleepDisabled:b|DisableConsoleAccess:b|LoginwindowText:s|ShutDownDisabledWhileLoggedIn:b|RestartDisabledWhileLoggedIn:b|PowerOffDisabledWhileLoggedIn:b|LogOutDisabledWhileLoggedIn:b|DisableScreenLockImmediate:b|showInputMenu:b|DisableFDEAutoLogin:b|AutologinUsername:s|AutologinPassword:s',
  ],
  [
    'com.apple.lom',
    'DeviceCertificateUUID:s|ControllerCertificateUUID:s|DeviceCACertificateUUIDs:a(:s)|ControllerCACertificateUUIDs:a(:s)',
  ],
  [
    'com.apple.mail.managed',
    'EmailAccountDescription:s|EmailAccountName:s|EmailAccountType:s!|EmailAddress:s|IncomingMailServerAuthentication:s!|IncomingMailServerHostName:s!|IncomingMailServerPortNumber:i|IncomingMailServerUseSSL:b|IncomingMailServerUsername:s|IncomingPassword:s|OutgoingPassword:s|OutgoingPasswordSameAsIncomingPassword:b|OutgoingMailServerAuthentication:s!|OutgoingMailServerHostName:s!|OutgoingMailServerPortNumber:i|OutgoingMailServerUseSSL:b|OutgoingMailServerUsername:s|PreventMove:b|PreventAppSheet:b|SMIMEEnabled:b|SMIMESigningEnabled:b|SMIMESigningCertificateUUID:s|SMIMEEncryptionEnabled:b|SMIMEEncryptionCertificateUUID:s|SMIMEEnablePerMessageSwitch:b|disableMailRecentsSyncing:b|allowMailDrop:b|IncomingMailServerIMAPPathPrefix:s|SMIMESigningUserOverrideable:b|SMIMESigningCertificateUUIDUserOverrideable:b|SMIMEEncryptByDefault:b|SMIMEEncryptByDefaultUserOverrideable:b|SMIMEEncryptionCertificateUUIDUserOverrideable:b|SMIMEEnableEncryptionPerMessageSwitch:b|VPNUUID:s',
  ],
  [
    'com.apple.mcxMenuExtras',
    'delaySeconds:r|maxWaitSeconds:r|AirPort.menu:b|Battery.menu:b|Bluetooth.menu:b|CPU.menu:b|Clock.menu:b|Displays.menu:b|Eject.menu:b|Fax.menu:b|HomeSync.menu:b|iChat.menu:b|Ink.menu:b|IrDA.menu:b|PCCard.menu:b|PPP.menu:b|PPPoE.menu:b|RemoteDesktop.menu:b|Script Menu.menu:b|Spaces.menu:b|Sync.menu:b|TextInput.menu:b|TimeMachine.menu:b|UniversalAccess.menu:b|User.menu:b|VPN.menu:b|Volume.menu:b|WWAN.menu:b',
  ],
  [
    'com.apple.mcxloginscripts',
    'loginscripts:a(:d(filename:s!|filedata:x!))|logoutscripts:a(:d(filename:s!|filedata:x!))|skipLoginHook:b|skipLogoutHook:b',
  ],
  [
    'com.apple.mcxprinting',
    'RequireAdminToAddPrinters:b|AllowLocalPrinters:b|RequireAdminToPrintLocally:b|ShowOnlyManagedPrinters:b|PrintFooter:b|PrintMACAddress:b|FooterFontSize:s|FooterFontName:s|DefaultPrinter:d(DeviceURI:s|DisplayName:s)|UserPrinterList:d(Printer:d(DeviceURI:s|DisplayName:s|Location:s|Model:s|PrinterLocked:b|PPDURL:s))',
  ],
  [
    'com.apple.mdm',
    'IdentityCertificateUUID:s!|Topic:s!|ServerURL:s!|CheckInURL:s|SignMessage:b|AccessRights:i|UseDevelopmentAPNS:b|ManagedAppleID:s|AssignedManagedAppleID:s|EnrollmentMode:s|ServerURLPinningCertificateUUIDs:a(:s!)|CheckInURLPinningCertificateUUIDs:a(:s!)|PinningRevocationCheckRequired:b|ServerCapabilities:a(:s)|CheckOutWhenRemoved:b|RequiredAppIDForMDM:i|PromptUserToAllowBootstrapTokenForAuthentication:b',
  ],
  [
    'com.apple.mobiledevice.passwordpolicy',
    'allowSimple:b|forcePIN:b|maxFailedAttempts:i|maxInactivity:i|maxPINAgeInDays:i|minComplexChars:i|minLength:i|requireAlphanumeric:b|pinHistory:i|maxGracePeriod:i|minutesUntilFailedLoginReset:i|changeAtNextAuth:b|customRegex:d(passwordContentRegex:s!|passwordContentDescription:d(ANY:s))',
  ],
  [
    'com.apple.notificationsettings',
    'NotificationSettings:a!(:d(BundleIdentifier:s!|NotificationsEnabled:b|ShowInNotificationCenter:b|ShowInLockScreen:b|AlertType:i|BadgesEnabled:b|SoundsEnabled:b|ShowInCarPlay:b|CriticalAlertEnabled:b|GroupingType:i|PreviewType:i))',
  ],
  ['com.apple.preference.security', 'dontAllowPasswordResetUI:b|dontAllowLockMessageUI:b|dontAllowFireWallUI:b'],
  ['com.apple.preference.users', 'DisableUsingiCloudPassword:b'],
  ['com.apple.profileRemovalPassword', 'RemovalPassword:s'],
  [
    'com.apple.proxy.http.global',
    'ProxyType:s|ProxyServer:s|ProxyServerPort:i|ProxyUsername:s|ProxyPassword:s|ProxyPACURL:s|ProxyPACFallbackAllowed:b|ProxyCaptiveLoginAllowed:b',
  ],
  [
    'com.apple.relay.managed',
    'Relays:a!(:d(HTTP3RelayURL:s|HTTP2RelayURL:s|AdditionalHTTPHeaderFields:d(ANY:s!)|PayloadCertificateUUID:s|RawPublicKeys:a(:x)))|MatchDomains:a(:s)|ExcludedDomains:a(:s)|RelayUUID:s',
  ],
  [
    'com.apple.screensaver',
    'askForPassword:b|askForPasswordDelay:i|loginWindowIdleTime:i|loginWindowModulePath:s|moduleName:s!',
  ],
  ['com.apple.screensaver.user', 'moduleName:s!|modulePath:s|idleTime:i'],
  ['com.apple.secondactiveethernet.managed', 'ANY:*'],
  ['com.apple.secondethernet.managed', 'ANY:*'],
  ['com.apple.security.FDERecoveryKeyEscrow', 'Location:s!|EncryptCertPayloadUUID:s!|DeviceKey:s'],
  ['com.apple.security.FDERecoveryRedirect', 'RedirectURL:s!|EncryptCertPayloadUUID:s!'],
  [
    'com.apple.security.acme',
    'DirectoryURL:s!|ClientIdentifier:s!|KeySize:i!|KeyType:s!|HardwareBound:b!|Subject:a!(:a(:a(:s)))|SubjectAltName:d(rfc822Name:s|dNSName:s|uniformResourceIdentifier:s|ntPrincipalName:s)|UsageFlags:i|ExtendedKeyUsage:a(:s)|Attest:b|KeyIsExtractable:b|AllowAllAppsAccess:b',
  ],
  ['com.apple.security.certificatepreference', 'Name:s!|PayloadCertificateUUID:s!'],
  [
    'com.apple.security.certificatetransparency',
    'DisabledForCerts:a(:d(Algorithm:s!|Hash:x!))|DisabledForDomains:a(:s)',
  ],
  [
    'com.apple.security.firewall',
    'EnableFirewall:b!|BlockAllIncoming:b|EnableStealthMode:b|Applications:a(:d(BundleID:s!|Allowed:b!))|EnableLogging:b|LoggingOption:s|AllowSigned:b|AllowSignedApp:b',
  ],
  ['com.apple.security.identitypreference', 'Name:s!|PayloadCertificateUUID:s!'],
  ['com.apple.security.pem', 'PayloadCertificateFileName:s|PayloadContent:x!'],
  ['com.apple.security.pkcs1', 'PayloadCertificateFileName:s|PayloadContent:x!'],
  [
    'com.apple.security.pkcs12',
    'PayloadCertificateFileName:s|PayloadContent:x!|Password:s|AllowAllAppsAccess:b|KeyIsExtractable:b',
  ],
  ['com.apple.security.root', 'PayloadCertificateFileName:s|PayloadContent:x!'],
  [
    'com.apple.security.scep',
    'PayloadContent:d!(URL:s!|Name:s|Subject:a(:a(:a(:s)))|Challenge:s|Keysize:i|Key Type:s|Key Usage:i|CAFingerprint:x|Retries:i|RetryDelay:i|SubjectAltName:*|KeyIsExtractable:b|AllowAllAppsAccess:b)',
  ],
  [
    'com.apple.security.smartcard',
    'UserPairing:b|allowSmartCard:b|checkCertificateTrust:i|oneCardPerUser:b|tokenRemovalAction:i|enforceSmartCard:b',
  ],
  ['com.apple.servicemanagement', 'Rules:a!(:d!(RuleType:s!|RuleValue:s!|Comment:s|TeamIdentifier:s))'],
  [
    'com.apple.syspolicy.kernel-extension-policy',
    'AllowNonAdminUserApprovals:b|AllowUserOverrides:b|AllowedTeamIdentifiers:a(:s)|AllowedKernelExtensions:d(ANY:a(:s!))',
  ],
  [
    'com.apple.system-extension-policy',
    'AllowUserOverrides:b|AllowedTeamIdentifiers:a(:s)|AllowedSystemExtensionTypes:d(ANY:a(:s!))|AllowedSystemExtensions:d(ANY:a(:s!))|RemovableSystemExtensions:d(ANY:a(:s!))|NonRemovableSystemExtensions:d(ANY:a(:s!))|NonRemovableFromUISystemExtensions:d(ANY:a(:s!))',
  ],
  ['com.apple.system.logging', 'Processes:d(ANY:*)|Subsystems:d(ANY:*)|System:d(ANY:*)'],
  [
    'com.apple.systemmigration',
    'CustomBehavior:a(:d(Context:s!|Paths:a!(:d(SourcePath:s!|SourcePathInUserHome:b!|TargetPath:s!|TargetPathInUserHome:b!))))',
  ],
  ['com.apple.systempolicy.control', 'EnableAssessment:b|AllowIdentifiedDevelopers:b|EnableXProtectMalwareUpload:b'],
  ['com.apple.systempolicy.managed', 'DisableOverride:b'],
  ['com.apple.systempolicy.rule', 'Requirement:s|Comment:s|Priority:r|Expiration:t|OperationType:s|LeafCertificate:x'],
  [
    'com.apple.systempreferences',
    'EnabledPreferencePanes:a(:s)|DisabledPreferencePanes:a(:s)|DisabledSystemSettings:a(:s)',
  ],
  [
    'com.apple.systemuiserver',
    'logout-eject:d(all-media:s|cd:a(:s)|dvd:a(:s)|bd:a(:s)|blankcd:a(:s)|blankdvd:a(:s)|blankbd:a(:s)|dvdram:a(:s)|disk-image:a(:s)|harddisk-internal:a(:s)|harddisk-external:a(:s)|networkdisk:a(:s))|mount-controls:d(all-media:s|cd:a(:s)|dvd:a(:s)|bd:a(:s)|blankcd:a(:s)|blankdvd:a(:s)|blankbd:a(:s)|dvdram:a(:s)|disk-image:a(:s)|harddisk-internal:a(:s)|harddisk-external:a(:s)|networkdisk:a(:s))|unmount-controls:d(all-media:s|cd:a(:s)|dvd:a(:s)|bd:a(:s)|blankcd:a(:s)|blankdvd:a(:s)|blankbd:a(:s)|dvdram:a(:s)|disk-image:a(:s)|harddisk-internal:a(:s)|harddisk-external:a(:s)|networkdisk:a(:s))',
  ],
  ['com.apple.thirdactiveethernet.managed', 'ANY:*'],
  ['com.apple.thirdethernet.managed', 'ANY:*'],
  [
    'com.apple.universalaccess',
    'closeViewFarPoint:i|closeViewHotkeysEnabled:b|closeViewNearPoint:i|closeViewScrollWheelToggle:b|closeViewShowPreview:b|closeViewSmoothImages:b|contrast:r|flashScreen:b|grayscale:b|mouseDriver:b|mouseDriverCursorSize:i|mouseDriverIgnoreTrackpad:b|mouseDriverInitialDelay:i|mouseDriverMaxSpeed:i|slowKey:b|slowKeyBeepOn:b|slowKeyDelay:i|stereoAsMono:b|stickyKey:b|stickyKeyBeepOnModifier:b|stickyKeyShowWindow:b|voiceOverOnOffKey:b|whiteOnBlack:b',
  ],
  [
    'com.apple.vpn.managed',
    'VPNType:s!|VPNSubType:s|UserDefinedName:s!|VendorConfig:d(Realm:s|Role:s|Group:s|LoginGroupOrDomain:s)|VPN:d(AuthenticationMethod:s|PayloadCertificateUUID:s|Password:s|ProviderBundleIdentifier:s|ProviderDesignatedRequirement:s|DisconnectOnIdle:i|DisconnectOnIdleTimer:i|ProviderType:s|IncludeAllNetworks:i|EnforceRoutes:i|ExcludeLocalNetworks:i|ExcludeCellularServices:i|ExcludeAPNs:i|ExcludeDeviceCommunication:i|OnDemandEnabled:i|OnDemandUserOverrideDisabled:i|OnDemandMatchDomainsAlways:a(:s)|OnDemandMatchDomainsNever:a(:s)|OnDemandMatchDomainsOnRetry:a(:s)|OnDemandRules:a(:d(Action:s!|ActionParameters:a(:d(Domains:a!(:s)|DomainAction:s!|RequiredDNSServers:a(:s)|RequiredURLStringProbe:s))|DNSDomainMatch:a(:s)|DNSServerAddressMatch:a(:s)|InterfaceTypeMatch:s|SSIDMatch:a(:s)|URLStringProbe:s)))|IPv4:d(OverridePrimary:i)|PPP:d(AuthName:s|AuthPassword:s|TokenCard:i|CommRemoteAddress:s|AuthEAPPlugins:a(:s)|AuthProtocol:a(:s)|CCPMPPE40Enabled:i|CCPMPPE128Enabled:i|CCPEnabled:i|DisconnectOnIdle:i|DisconnectOnIdleTimer:i)|IPSec:d(RemoteAddress:s|AuthenticationMethod:s|XAuthName:s|XAuthPassword:s|XAuthEnabled:i|XAuthPasswordEncryption:s|LocalIdentifier:s|LocalIdentifierType:s|SharedSecret:x|PayloadCertificateUUID:s|PromptForVPNPIN:b|DisconnectOnIdle:i|DisconnectOnIdleTimer:i|OnDemandEnabled:i|OnDemandMatchDomainsAlways:a(:s)|OnDemandMatchDomainsNever:a(:s)|OnDemandMatchDomainsOnRetry:a(:s)|OnDemandRules:a(:d(Action:s!|ActionParameters:a(:d(Domains:a!(:s)|DomainAction:s!|RequiredDNSServers:a(:s)|RequiredURLStringProbe:s))|DNSDomainMatch:a(:s)|DNSServerAddressMatch:a(:s)|InterfaceTypeMatch:s|SSIDMatch:a(:s)|URLStringProbe:s)))|IKEv2:d(RemoteAddress:s!|LocalIdentifier:s!|RemoteIdentifier:s!|AuthenticationMethod:s!|CertificateType:s|PayloadCertificateUUID:s|Password:s|ProviderBundleIdentifier:s|ProviderDesignatedRequirement:s|SharedSecret:s|ExtendedAuthEnabled:i|AuthName:s|AuthPassword:s|OnDemandEnabled:i|OnDemandUserOverrideDisabled:i|OnDemandRules:a(:d(Action:s!|ActionParameters:a(:d(Domains:a!(:s)|DomainAction:s!|RequiredDNSServers:a(:s)|RequiredURLStringProbe:s))|DNSDomainMatch:a(:s)|DNSServerAddressMatch:a(:s)|InterfaceTypeMatch:s|SSIDMatch:a(:s)|URLStringProbe:s))|DeadPeerDetectionRate:s|ServerCertificateIssuerCommonName:s|ServerCertificateCommonName:s|TLSMinimumVersion:s|TLSMaximumVersion:s|UseConfigurationAttributeInternalIPSubnet:i|DisableMOBIKE:i|DisableRedirect:i|DisconnectOnIdle:i|DisconnectOnIdleTimer:i|NATKeepAliveOffloadEnable:i|NATKeepAliveInterval:i|EnablePFS:i|EnableCertificateRevocationCheck:i|EnableFallback:i|MTU:i|ProviderType:s|IncludeAllNetworks:i|EnforceRoutes:i|ExcludeLocalNetworks:i|ExcludeCellularServices:i|ExcludeAPNs:i|ExcludeDeviceCommunication:i|PPK:x|PPKIdentifier:s|PPKMandatory:i|IKESecurityAssociationParameters:d(EncryptionAlgorithm:s|IntegrityAlgorithm:s|DiffieHellmanGroup:i|LifeTimeInMinutes:i)|ChildSecurityAssociationParameters:d(EncryptionAlgorithm:s|IntegrityAlgorithm:s|DiffieHellmanGroup:i|LifeTimeInMinutes:i))|DNS:d(DNSProtocol:s!|ServerURL:s|ServerName:s|ServerAddresses:a!(:s)|SearchDomains:a(:s)|DomainName:s|SupplementalMatchDomains:a(:s)|SupplementalMatchDomainsNoSearch:i|PayloadCertificateUUID:s)|Proxies:d(ProxyAutoConfigEnable:i|ProxyAutoDiscoveryEnable:i|ProxyAutoConfigURLString:s|SupplementalMatchDomains:a(:s)|HTTPEnable:i|HTTPProxy:s|HTTPPort:i|HTTPProxyUsername:s|HTTPProxyPassword:s|HTTPSEnable:i|HTTPSProxy:s|HTTPSPort:i)|AlwaysOn:d(UIToggleEnabled:i|TunnelConfigurations:a!(:d(ProtocolType:s!|Interfaces:a(:s)))|ServiceExceptions:a(:d(ServiceName:s!|Action:s!))|ApplicationExceptions:a(:d(BundleIdentifier:s!|LimitToProtocols:a(:s)))|AllowCaptiveWebSheet:i|AllowAllCaptiveNetworkPlugins:i|AllowedCaptiveNetworkPlugins:a(:d(BundleIdentifier:s!)))|TransparentProxy:d(AuthenticationMethod:s|DisconnectOnIdle:i|DisconnectOnIdleTimer:i|EnforceRoutes:i|OnDemandEnabled:i|OnDemandRules:a(:d(Action:s!|ActionParameters:a(:d(Domains:a!(:s)|DomainAction:s!|RequiredDNSServers:a(:s)|RequiredURLStringProbe:s))|DNSDomainMatch:a(:s)|DNSServerAddressMatch:a(:s)|InterfaceTypeMatch:s|SSIDMatch:a(:s)|URLStringProbe:s))|PayloadCertificateUUID:s|Password:s|ProviderBundleIdentifier:s|ProviderDesignatedRequirement:s|ProviderType:s|Order:i)',
  ],
  [
    'com.apple.vpn.managed.applayer',
    'VPNUUID:s!|CellularSliceUUID:s|SafariDomains:a(:s!)|MailDomains:a(:s!)|CalendarDomains:a(:s!)|ContactsDomains:a(:s!)|AssociatedDomains:a(:s!)|ExcludedDomains:a(:s!)|OnDemandMatchAppEnabled:b|SMBDomains:a(:s!)',
  ],
  [
    'com.apple.vpn.managed.appmapping',
    'AppLayerVPNMapping:a!(:d(Identifier:s!|VPNUUID:s!|DesignatedRequirement:s!|SigningIdentifier:s!|Path:s|MatchTools:a(:d(DesignatedRequirement:s!|SigningIdentifier:s!|Path:s))))',
  ],
  [
    'com.apple.webClip.managed',
    'Precomposed:b|FullScreen:b|URL:s!|Icon:x|IsRemovable:b|Label:s!|IgnoreManifestScope:b|TargetApplicationBundleIdentifier:s',
  ],
  [
    'com.apple.webcontent-filter',
    'FilterType:s|AutoFilterEnabled:b|PermittedURLs:a(:s)|BlacklistedURLs:a(:s)|DenyListURLs:a(:s)|HideDenyListURLs:b|WhitelistedBookmarks:a(:d(URL:s!|Title:s!))|AllowListBookmarks:a(:d(URL:s!|Title:s!))|UserDefinedName:s|PluginBundleID:s|ServerAddress:s|UserName:s|Password:s|PayloadCertificateUUID:s|Organization:s|VendorConfig:d(ANY:*!)|FilterBrowsers:b|FilterSockets:b|FilterDataProviderDesignatedRequirement:s|FilterDataProviderBundleIdentifier:s|FilterPackets:b|FilterPacketProviderDesignatedRequirement:s|FilterPacketProviderBundleIdentifier:s|FilterGrade:s|ContentFilterUUID:s',
  ],
  [
    'com.apple.wifi.managed',
    'AutoJoin:b|SSID_STR:s|HIDDEN_NETWORK:b|ProxyType:s|EncryptionType:s|Password:s|PayloadCertificateUUID:s|EAPClientConfiguration:d(AcceptEAPTypes:a!(:i)|UserName:s|UserPassword:s|PayloadCertificateAnchorUUID:a(:s)|TLSTrustedCertificates:a(:s!)|TLSTrustedServerNames:a(:s)|TLSAllowTrustExceptions:b|TLSCertificateIsRequired:b|TTLSInnerAuthentication:s|TLSMinimumVersion:s|TLSMaximumVersion:s|OuterIdentity:s|EAPFASTUsePAC:b|EAPFASTProvisionPAC:b|EAPFASTProvisionPACAnonymously:b|EAPSIMNumberOfRANDs:i|SystemModeCredentialsSource:s|SystemModeUseOpenDirectoryCredentials:b|OneTimeUserPassword:b)|DisplayedOperatorName:s|DomainName:s|RoamingConsortiumOIs:a(:s)|ServiceProviderRoamingEnabled:b|IsHotspot:b|HESSID:s|NAIRealmNames:a(:s)|MCCAndMNCs:a(:s)|CaptiveBypass:b|QoSMarkingPolicy:d(QoSMarkingAllowListAppIdentifiers:a(:s)|QoSMarkingWhitelistedAppIdentifiers:a(:s)|QoSMarkingAppleAudioVideoCalls:b|QoSMarkingEnabled:b)|SetupModes:a(:s!)|EnableIPv6:b|TLSCertificateRequired:b|ProxyServer:s|ProxyServerPort:i|ProxyUsername:s|ProxyPassword:s|ProxyPACURL:s|ProxyPACFallbackAllowed:b|DisableAssociationMACRandomization:b',
  ],
  ['com.apple.xsan', 'sanName:s!|sanConfigURLs:a!(:s!)|fsnameservers:a!(:s!)|sanAuthMethod:s|sharedSecret:s!'],
  ['com.apple.xsan.preferences', 'onlyMount:a(:s!)|denyMount:a(:s!)|denyDLC:a(:s!)|preferDLC:a(:s!)|useDLC:b'],
  ['loginwindow', 'DisableLoginItemsSuppression:b'],
]);

/** Of these a Mac takes one per channel: every description says `multiple: false`. */
export const EXCLUSIVE_PAYLOAD_TYPES: ReadonlySet<string> = new Set([
  '.GlobalPreferences',
  'com.apple.AssetCache.managed',
  'com.apple.Dictionary',
  'com.apple.DiscRecording',
  'com.apple.MCX.FileVault2',
  'com.apple.MCX.TimeMachine',
  'com.apple.SetupAssistant.managed',
  'com.apple.ShareKitHelper',
  'com.apple.SoftwareUpdate',
  'com.apple.SystemConfiguration',
  'com.apple.appstore',
  'com.apple.asam',
  'com.apple.configurationprofile.identification',
  'com.apple.dashboard',
  'com.apple.desktop',
  'com.apple.dnsProxy.managed',
  'com.apple.dock',
  'com.apple.domains',
  'com.apple.education',
  'com.apple.familycontrols.contentfilter',
  'com.apple.familycontrols.timelimits.v2',
  'com.apple.fileproviderd',
  'com.apple.finder',
  'com.apple.firstactiveethernet.managed',
  'com.apple.firstethernet.managed',
  'com.apple.gamed',
  'com.apple.globalethernet.managed',
  'com.apple.ironwood.support',
  'com.apple.lom',
  'com.apple.mcxMenuExtras',
  'com.apple.mcxloginscripts',
  'com.apple.mcxprinting',
  'com.apple.mdm',
  'com.apple.preference.security',
  'com.apple.preference.users',
  'com.apple.profileRemovalPassword',
  'com.apple.proxy.http.global',
  'com.apple.screensaver',
  'com.apple.screensaver.user',
  'com.apple.secondactiveethernet.managed',
  'com.apple.secondethernet.managed',
  'com.apple.security.FDERecoveryKeyEscrow',
  'com.apple.security.FDERecoveryRedirect',
  'com.apple.security.smartcard',
  'com.apple.systemmigration',
  'com.apple.systempreferences',
  'com.apple.systemuiserver',
  'com.apple.thirdactiveethernet.managed',
  'com.apple.thirdethernet.managed',
  'com.apple.universalaccess',
  'com.apple.vpn.managed.appmapping',
  'com.apple.xsan',
  'loginwindow',
]);
