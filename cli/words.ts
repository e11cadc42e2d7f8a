/** What the API calls its parameters, and what they are called here. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/\bdetach=true\b/g, '--detach'],
  [/\bdry_run=true\b/g, '--dry-run'],
  [/\ballow_empty\b/g, '--allow-empty'],
  [/\bmax_removals is\b/g, '--max-removals is'],
  [/\braise max_removals\b/g, 'raise --max-removals'],
  [
    /\binclude none for everyone, or labels and exclude_labels that exist\b/g,
    '--include none for everyone, or --label and --exclude-label with labels that exist',
  ],
  [/\bGET \/hosts\/\{host\}\/profiles\/\{identifier\}\/why\b/g, 'espalier why HOST PROFILE'],
];

/** A message of the server in the words of the command line. */
export function inOptions(text: string): string {
  return WORDS.reduce((said, [api, cli]) => said.replace(api, cli), text);
}
