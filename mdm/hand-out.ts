import type { PlistDict, Writable } from '../plist/types.ts';
import { escapeXml, writePlist } from '../plist/write.ts';

export const COMMAND_CONTENT_TYPE = 'application/xml; charset=UTF-8';

const [BEFORE, AFTER] = frame();

/** What `writePlist` puts around a value, taken from it, so that there is one place that spells the head of a list. */
function frame(): readonly [string, string] {
  const empty = writePlist({});
  const at = empty.indexOf('<dict>');
  return [empty.slice(0, at), empty.slice(at + '<dict></dict>'.length)];
}

const HEAD = Buffer.from(`${BEFORE}<dict><key>Command</key>`);

/** The Command dictionary as an XML fragment: stored once, sent to every device that gets the same bytes. */
export function commandBody(command: PlistDict | { readonly [key: string]: Writable | undefined }): Buffer {
  const text = writePlist(command);
  return Buffer.from(text.slice(BEFORE.length, text.length - AFTER.length));
}

/** What the device receives (apple-protocol §2.1). The body is copied, not read: 10,000 Macs may get the same one. */
export function handOut(commandUuid: string, body: Buffer): Buffer {
  const tail = `<key>CommandUUID</key><string>${escapeXml(commandUuid)}</string></dict>${AFTER}`;
  return Buffer.concat([HEAD, body, Buffer.from(tail)]);
}
