import type { KeyRecord, KeyStore } from '../../keys/ports.ts';

/** The port's contract in memory, with a door held open between list and insert for races. */
export function memoryKeyStore(): KeyStore & { readonly records: KeyRecord[] } {
  const records: KeyRecord[] = [];
  return {
    records,
    list: async () => [...records],
    insertAll: async (added) => {
      const taken = added.some((one) =>
        records.some((two) => two.purpose === one.purpose && two.version === one.version),
      );
      if (!taken) records.push(...added);
      return !taken;
    },
  };
}
