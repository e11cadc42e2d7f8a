/** What `espalier get` shows: as a table, or as it came. */
export interface Listing {
  readonly headings: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly raw: unknown;
}
