/** One Mac as admins see it. */
export interface Host {
  /** UUIDv7. */
  readonly id: string;
  readonly udid: string | undefined;
  readonly serialNumber: string | undefined;
  readonly name: string;
  readonly model: string;
  readonly productName: string;
  readonly osVersion: string;
  readonly buildVersion: string;
  readonly teamId: number;
  readonly teamName: string;
  readonly labels: readonly string[];
  /** Of the device channel; `none` where the Mac never enrolled in MDM (an agent only). */
  readonly enrollment: 'authenticated' | 'enrolled' | 'waiting_for_device' | 'ended' | 'none';
  readonly lastSeenAt: Date | undefined;
}

export interface Team {
  readonly id: number;
  readonly name: string;
  readonly hosts: number;
}

export type LabelKind = 'manual' | 'dynamic' | 'host_vitals';

export interface Label {
  readonly id: number;
  readonly name: string;
  readonly kind: LabelKind;
  readonly hosts: number;
}

/** Unknown is not no: the present state is kept (design §4). */
export type Membership = 'yes' | 'no' | 'unknown';

/** What tells one machine from another. Hardware UUID equals the UDID on a Mac. */
export interface Hardware {
  readonly hardwareUuid?: string;
  readonly serialNumber?: string;
  readonly name?: string;
  readonly model?: string;
  readonly osVersion?: string;
  readonly buildVersion?: string;
}
