/**
 * Enrolment profiles of other MDM servers and what those servers always install, by PayloadIdentifier. A Mac has one
 * server at a time: seen on one of ours, they were left behind, by an earlier enrolment or by Migration Assistant.
 * ProfileList says by the payload `com.apple.mdm` that a profile enrols; osquery does not, and goes by this list.
 */
const IDENTIFIERS: ReadonlySet<string> = new Set([
  '00000000-0000-0000-a000-4a414d460003',
  'com.fleetdm.caroot',
  'com.fleetdm.fleet.mdm.apple',
  'com.fleetdm.fleet.mdm.filevault',
  'com.fleetdm.fleetd.config',
  'com.github.micromdm.micromdm.enroll',
  'com.github.micromdm.micromdm.mdm',
  'com.github.micromdm.nanomdm',
  'com.kandji.profile.mdmprofile',
  'microsoft.profiles.mdm',
]);

export function isOfAnotherServer(identifier: string): boolean {
  return IDENTIFIERS.has(identifier.toLowerCase());
}
