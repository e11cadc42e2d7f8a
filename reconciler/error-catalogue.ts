/**
 * transient: passes by itself · needs_user: somebody at the Mac has to do something · permanent: only another content
 * helps · unclassified: Apple's code is not in the catalogue, so a few retries and then the device's own words.
 */
export type ErrorClass = 'transient' | 'needs_user' | 'permanent' | 'unclassified';

export interface ErrorKind {
  readonly class: ErrorClass;
  /** What happened, one sentence. */
  readonly words: string;
  /** What to do, one sentence. */
  readonly next: string;
  /** Says nothing by itself: a cause further down the chain is preferred. */
  readonly generic?: true;
}

const EDIT = 'Correct the profile and upload it again.';
const WAIT = 'Nothing: it is sent again by itself.';

/** Stable codes; scripts may match on them. docs/errors.md is this table. */
export const ERROR_KINDS = {
  access_right_missing: {
    class: 'permanent',
    words: 'The enrolment does not grant the right this needs.',
    next: 'Enrol the Mac again with a full enrolment profile.',
  },
  certificate_refused: {
    class: 'permanent',
    words: 'The Mac does not accept a certificate of the profile, or its password.',
    next: EDIT,
  },
  command_unsupported: {
    class: 'permanent',
    words: 'The device does not know the command.',
    next: 'Look whether its operating system is new enough for this enrolment.',
  },
  device_locked: { class: 'transient', words: 'The device was locked.', next: WAIT },
  enrollment_profile_refused: {
    class: 'permanent',
    words: 'The Mac refuses this in place of its enrolment profile.',
    next: 'Enrol the Mac again.',
  },
  in_lost_mode: { class: 'transient', words: 'The device is in lost mode.', next: WAIT },
  install_failed: {
    class: 'unclassified',
    words: 'The Mac could not install the profile.',
    next: 'Read the causes the Mac gave.',
    generic: true,
  },
  keychain_locked: {
    class: 'needs_user',
    words: 'A keychain on the Mac could not be opened.',
    next: 'Ask the user to log in.',
  },
  mdm_only_payload: {
    class: 'permanent',
    words: 'A payload is accepted only from the MDM server that supervises the Mac.',
    next: 'Check the enrolment of this Mac.',
  },
  network_down: { class: 'transient', words: 'The Mac was offline while it installed the profile.', next: WAIT },
  not_enrolled: { class: 'permanent', words: 'The device says that it is not enrolled.', next: 'Enrol it again.' },
  not_managed: {
    class: 'unclassified',
    words: 'The profile is on the device and this server does not manage it.',
    next: 'Remove it at the Mac, or leave it: a removal ends as drift.',
  },
  passcode_conflict: {
    class: 'needs_user',
    words: 'The passcode on the Mac does not fit the policy.',
    next: 'Ask the user to change it.',
  },
  payload_install_failed: {
    class: 'unclassified',
    words: 'The Mac could not install one of the payloads.',
    next: 'Check the payload of the kind that the domain names.',
  },
  payload_malformed: { class: 'permanent', words: 'A payload of the profile is not valid.', next: EDIT },
  profile_absent: {
    class: 'unclassified',
    words: 'The profile is not on the device.',
    next: 'Nothing: a removal is done by this; an install is sent again.',
  },
  profile_identifiers_clash: {
    class: 'permanent',
    words: 'Two payloads of the profile share a UUID or an identifier.',
    next: EDIT,
  },
  profile_malformed: { class: 'permanent', words: 'The Mac cannot read the profile.', next: EDIT },
  profile_signature_refused: {
    class: 'permanent',
    words: "The Mac does not accept the profile's signature.",
    next: 'Check that the signing certificate is trusted there.',
  },
  profile_undecryptable: { class: 'permanent', words: 'The Mac cannot decrypt the profile.', next: EDIT },
  profile_uuid_in_use: { class: 'permanent', words: "Another profile on the Mac has this profile's UUID.", next: EDIT },
  restrictions_conflict: {
    class: 'permanent',
    words: 'Restrictions of the profile contradict those of another profile on the Mac.',
    next: 'Correct one of the two profiles and upload it again.',
  },
  scep_failed: {
    class: 'unclassified',
    words: 'The Mac did not get its certificate.',
    next: 'Look at the certificate server the profile names.',
  },
  scep_unreachable: {
    class: 'transient',
    words: 'The Mac could not reach the certificate server the profile names.',
    next: WAIT,
  },
  second_mdm: { class: 'permanent', words: 'The profile would enrol the Mac a second time.', next: EDIT },
  server_unreachable: {
    class: 'transient',
    words: 'A server that the profile names did not answer as it should.',
    next: WAIT,
  },
  server_untrusted: {
    class: 'transient',
    words: 'The Mac does not trust the TLS certificate of a server that the profile names.',
    next: "Correct that server's certificate; it is sent again by itself.",
  },
  shared_ipad_refused: {
    class: 'permanent',
    words: 'The profile is not acceptable on a Shared iPad.',
    next: 'Aim the profile at other devices.',
  },
  supervision_required: {
    class: 'permanent',
    words: 'The profile needs a supervised Mac.',
    next: 'Enrol the Mac through Automated Device Enrolment.',
  },
  user_channel_unsupported: {
    class: 'permanent',
    words: 'The enrolment has no user channel.',
    next: 'Deliver the profile to the device, or enrol again.',
  },
  user_missing: {
    class: 'needs_user',
    words: 'The user it is meant for does not exist on the device.',
    next: 'Let that user log in at the Mac.',
  },
  user_refused: { class: 'needs_user', words: 'The user refused.', next: 'Ask the user of the Mac to accept.' },
} as const satisfies Record<string, ErrorKind>;

export type DeviceErrorCode = keyof typeof ERROR_KINDS;

/**
 * Apple's numbers by domain (apple-protocol.md appendix D; NSURLErrorDomain is Foundation's). The same number means
 * something else in another domain. They are for display and retry policy; Apple may change them.
 */
export const DEVICE_ERRORS: Readonly<Record<string, readonly (readonly [DeviceErrorCode, readonly number[]])[]>> = {
  MCProfileErrorDomain: [
    ['profile_malformed', [1000, 1001, 1002, 1003, 1005, 1010]],
    ['profile_signature_refused', [1004]],
    ['profile_undecryptable', [1006]],
    ['profile_identifiers_clash', [1007, 1008]],
    ['install_failed', [1009]],
  ],
  MCPayloadErrorDomain: [
    ['payload_malformed', [2000, 2001, 2002, 2003, 2004]],
    ['install_failed', [2005]],
  ],
  MCRestrictionsErrorDomain: [['restrictions_conflict', [3000, 3001]]],
  MCInstallationErrorDomain: [
    ['install_failed', [4001]],
    ['profile_uuid_in_use', [4002]],
    ['device_locked', [4009]],
    ['enrollment_profile_refused', [4010, 4015]],
    ['mdm_only_payload', [4022]],
    ['supervision_required', [4025]],
    ['shared_ipad_refused', [4030]],
  ],
  MCPasscodeErrorDomain: [
    [
      'passcode_conflict',
      [
        5000, 5001, 5002, 5003, 5004, 5005, 5006, 5007, 5008, 5009, 5010, 5011, 5012, 5013, 5014, 5015, 5016, 5017,
        5018,
      ],
    ],
  ],
  MCKeychainErrorDomain: [['keychain_locked', [6000]]],
  MCCertificateErrorDomain: [['certificate_refused', [9000, 9001, 9002, 9003, 9004, 9005, 9006]]],
  MCMDMErrorDomain: [
    ['access_right_missing', [12000, 12007]],
    ['second_mdm', [12001]],
    ['enrollment_profile_refused', [12009, 12011, 12012]],
    ['command_unsupported', [12008, 12021]],
    ['not_managed', [12013]],
    ['user_refused', [12063]],
    ['user_missing', [12071]],
    ['profile_absent', [12075]],
    ['user_channel_unsupported', [12076]],
    ['in_lost_mode', [12078]],
    ['not_enrolled', [12079]],
  ],
  MDMClientError: [['profile_absent', [89]]],
  MCSCEPErrorDomain: [
    ['scep_unreachable', [22005]],
    ['scep_failed', [22000, 22001, 22002, 22003, 22004, 22006, 22007, 22008, 22011, 22013]],
  ],
  MCHTTPTransactionErrorDomain: [['server_unreachable', [23000, 23001, 23002]]],
  NSURLErrorDomain: [
    ['network_down', [-1001, -1003, -1004, -1005, -1009]],
    ['server_untrusted', [-1200, -1202]],
  ],
  MCEmailErrorDomain: [['payload_install_failed', [7000]]],
  MCWebClipErrorDomain: [['payload_install_failed', [8000]]],
  MCDefaultsErrorDomain: [['payload_install_failed', [10000]]],
  MCAPNErrorDomain: [['payload_install_failed', [11000]]],
  MCWiFiErrorDomain: [['payload_install_failed', [13000]]],
  MCTunnelErrorDomain: [['payload_install_failed', [14000]]],
  MCVPNErrorDomain: [['payload_install_failed', [15000]]],
  MCSubCalErrorDomain: [['payload_install_failed', [16000]]],
  MCCalDAVErrorDomain: [['payload_install_failed', [17000]]],
  MCDAErrorDomain: [['payload_install_failed', [18000]]],
  MCLDAPErrorDomain: [['payload_install_failed', [19000]]],
  MCCardDAVErrorDomain: [['payload_install_failed', [20000]]],
  MCEASErrorDomain: [['payload_install_failed', [21000]]],
};
