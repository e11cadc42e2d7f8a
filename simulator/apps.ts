/** One application bundle, or a tool without one. */
export interface App {
  readonly name: string;
  readonly bundleIdentifier?: string;
  /** CFBundleVersion. */
  readonly version: string;
  /** CFBundleShortVersionString. */
  readonly shortVersion: string;
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/** What an admin names when somebody installs something; the rest follows. */
export interface NewApp {
  readonly name: string;
  readonly bundleIdentifier: string;
  readonly shortVersion?: string;
}

/** What every simulated Mac comes with. */
export const COMES_WITH: readonly App[] = [
  {
    name: 'Safari',
    bundleIdentifier: 'com.apple.Safari',
    version: '20619.2.8.11.10',
    shortVersion: '18.1',
    path: '/Applications/Safari.app',
    size: 12_900_000,
  },
  {
    name: 'Terminal',
    bundleIdentifier: 'com.apple.Terminal',
    version: '455',
    shortVersion: '2.14',
    path: '/System/Applications/Utilities/Terminal.app',
    size: 9_800_000,
  },
  // APP-01: on a Mac the same identifier can be installed twice, and a tool may have none.
  editor('7', '1.2', '/Applications/Editor.app', 55_000_000),
  editor('9', '1.3', '/Users/Shared/Editor.app', 56_000_000),
  { name: 'helper-tool', version: '1', shortVersion: '1', path: '/usr/local/bin/helper-tool', size: 120_000 },
];

function editor(version: string, shortVersion: string, path: string, size: number): App {
  return { name: 'Editor', bundleIdentifier: 'org.example.editor', version, shortVersion, path, size };
}

export function bundleOf({ name, bundleIdentifier, shortVersion = '1.0' }: NewApp): App {
  const path = `/Applications/${name}.app`;
  return { name, bundleIdentifier, version: shortVersion, shortVersion, path, size: 90_000_000 };
}
