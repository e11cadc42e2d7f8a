export { assertEmitted, checkEmitted, type EmittedContext, type EmittedKind } from './assert.ts';
export { MAC } from './identity.ts';
export { loadSchema } from './load.ts';
export {
  validateCheckinRequest,
  validateCheckinResponse,
  validateCommand,
  validateCommandResponse,
  validateRefusal,
} from './messages.ts';
export { validateProfile } from './profile.ts';
export type { Context, Finding, Rule } from './types.ts';
export { createWireTap, type Exchange, type TapOptions, type WireTap } from './wire-tap.ts';
