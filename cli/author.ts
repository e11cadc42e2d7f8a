import { userInfo } from 'node:os';

/** Who does it, for the history: as said, else the account; a container may have none. */
export function authorOf(said: string | undefined): string {
  if (said !== undefined) return said;
  try {
    return userInfo().username;
  } catch {
    return 'admin';
  }
}
