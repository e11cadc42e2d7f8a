/** What people call a host: its name, else its serial number, else its id. The one place that decides. */
export function hostDisplayName(host: {
  readonly id: string;
  readonly name: string;
  readonly serialNumber?: string | null | undefined;
}): string {
  return host.name || host.serialNumber || host.id;
}
