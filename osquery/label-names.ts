const NAME = /^espalier_label_(\d{1,10})_(\d{1,16})_([0-9a-z]{1,9})$/;

export interface LabelQueryName {
  readonly labelId: number;
  readonly epoch: number;
  readonly askedAt: Date;
}

/**
 * The name says which list was asked, and when: the answer may come to another replica, late, or twice, and no process
 * need remember what it asked.
 */
export function labelQueryName(labelId: number, epoch: number, askedAt: Date): string {
  return `espalier_label_${labelId}_${epoch}_${askedAt.getTime().toString(36)}`;
}

export function readLabelQueryName(name: string): LabelQueryName | undefined {
  const [, labelId, epoch, askedAt] = NAME.exec(name) ?? [];
  if (labelId === undefined || epoch === undefined || askedAt === undefined) return undefined;
  const time = Number.parseInt(askedAt, 36);
  if (Number(labelId) > 2_147_483_647 || !Number.isSafeInteger(Number(epoch)) || time > MAX_TIME) return undefined;
  return { labelId: Number(labelId), epoch: Number(epoch), askedAt: new Date(time) };
}

/** The largest time of a Date. */
const MAX_TIME = 8.64e15;
