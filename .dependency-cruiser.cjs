// Who may import whom (design: rooms). `scripts/rules.mjs` also asserts that modules were seen at all:
// under TypeScript 7 the tool reads nothing and says "no violations".
const features = ['mdm', 'scep', 'apns', 'profiles', 'reconciler', 'hosts', 'osquery'];
const any = (names) => `^(${names.join('|')})/`;

const featureRules = features.map((room) => ({
  name: `${room}-knows-only-types-of-others`,
  comment:
    'A feature sees core, plist, cms, keys/types, and the types of other features; profiles/compare is the one exception.',
  severity: 'error',
  from: { path: `^${room}/` },
  to: {
    path: '^(mdm|scep|apns|profiles|reconciler|hosts|osquery|keys|db|http|server|cli|simulator|bench|test)/',
    pathNot: [`^${room}/`, '^[a-z]+/types\\.ts$', '^profiles/compare\\.ts$'],
  },
}));

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'core-imports-nothing',
      severity: 'error',
      from: { path: '^core/' },
      to: { path: '^[a-z]+/', pathNot: ['^core/', '^node:'], dependencyTypesNot: ['core'] },
    },
    {
      name: 'plist-and-cms-import-core',
      severity: 'error',
      from: { path: '^(plist|cms)/' },
      to: { path: '^[a-z]+/', pathNot: ['^(core|plist|cms)/'], dependencyTypesNot: ['core'] },
    },
    {
      name: 'plist-and-cms-do-not-know-each-other',
      severity: 'error',
      from: { path: '^plist/' },
      to: { path: '^cms/' },
    },
    { name: 'cms-does-not-know-plist', severity: 'error', from: { path: '^cms/' }, to: { path: '^plist/' } },
    {
      name: 'keys-import-core-and-cms',
      severity: 'error',
      from: { path: '^keys/' },
      to: { path: any([...features, 'plist', 'db', 'http', 'server', 'cli', 'simulator', 'bench', 'test']) },
    },
    ...featureRules,
    {
      name: 'db-implements-ports',
      severity: 'error',
      from: { path: '^db/' },
      to: {
        path: any([...features, 'keys', 'http', 'server', 'cli', 'simulator', 'bench', 'test']),
        pathNot: ['^[a-z]+/(ports|types)\\.ts$'],
      },
    },
    {
      name: 'http-does-not-reach-behind-features',
      severity: 'error',
      from: { path: '^http/' },
      to: { path: any(['db', 'keys', 'server', 'cli', 'simulator', 'bench', 'test']), pathNot: ['^keys/types\\.ts$'] },
    },
    {
      name: 'server-is-not-imported',
      comment: 'Only the CLI, bench and tests start a server.',
      severity: 'error',
      from: { pathNot: '^(server|cli|bench|test)/' },
      to: { path: '^server/' },
    },
    {
      name: 'simulator-is-a-device',
      severity: 'error',
      from: { path: '^simulator/' },
      to: { path: any([...features, 'keys', 'db', 'http', 'server', 'cli', 'bench', 'test']) },
    },
    {
      name: 'cli-talks-http',
      severity: 'error',
      from: { path: '^cli/' },
      to: { path: any([...features, 'keys', 'db', 'http', 'bench', 'test']) },
    },
    { name: 'nothing-imports-tests', severity: 'error', from: { pathNot: '^test/' }, to: { path: '^test/' } },
    {
      name: 'product-does-not-import-dev-packages',
      severity: 'error',
      from: { pathNot: ['^(test|scripts)/', '^vitest\\.config\\.ts$'] },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|node_modules)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.mjs', '.js'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
