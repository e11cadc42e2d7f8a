import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readReport } from '../../osquery/read-report.ts';

const tables = [{ name: 'macos_profiles' }];
const row = {
  identifier: 'com.example.wifi',
  install_date: '1767225600',
  display_name: 'Wi-Fi',
  verification_state: 'verified',
  uuid: '3F2504E0-4F89-11D3-9A0C-0305E82C3301',
  organization: 'Example',
  type: 'Configuration',
};

describe('readReport', () => {
  it('reads rows with whatever columns come', () => {
    const { profiles } = readReport({
      queries: {
        espalier_profiles: [row, { ...row, identifier: 'b', payload_checksum: 'x' }],
        espalier_tables: tables,
        espalier_build: [{ build: '24B83' }],
      },
    });
    expect(profiles).toEqual({
      state: 'rows',
      osBuild: '24B83',
      profiles: [
        {
          identifier: 'com.example.wifi',
          uuid: row.uuid,
          displayName: 'Wi-Fi',
          installedAt: new Date('2026-01-01T00:00:00Z'),
          checksum: undefined,
        },
        {
          identifier: 'b',
          uuid: row.uuid,
          displayName: 'Wi-Fi',
          installedAt: new Date('2026-01-01T00:00:00Z'),
          checksum: 'x',
        },
      ],
    });
  });

  it.each([
    ['zero rows are not an absent table', { queries: { espalier_profiles: [], espalier_tables: tables } }, 'zero_rows'],
    ['"" is how osquery says no rows', { queries: { espalier_profiles: '', espalier_tables: tables } }, 'zero_rows'],
    ['discovery left the query out', { queries: { espalier_tables: [] } }, 'table_absent'],
    [
      'no such table',
      {
        queries: { espalier_profiles: [] },
        statuses: { espalier_profiles: 1 },
        messages: { espalier_profiles: 'no such table: macos_profiles' },
      },
      'table_absent',
    ],
    [
      'a failed query',
      {
        queries: { espalier_profiles: [] },
        statuses: { espalier_profiles: '1' },
        messages: { espalier_profiles: 'denylisted' },
      },
      'query_error',
    ],
    ['rows that are no list', { queries: { espalier_profiles: { a: 1 } } }, 'query_error'],
  ])('%s', (_name, body, state) => {
    expect(readReport(body).profiles?.state).toBe(state);
  });

  it('a status of "0" is success', () => {
    expect(
      readReport({ queries: { espalier_profiles: [row] }, statuses: { espalier_profiles: '0' } }).profiles?.state,
    ).toBe('rows');
  });

  it('says nothing about profiles when they were not asked', () => {
    expect(readReport({ queries: { other: [row] } }).profiles).toBeUndefined();
  });

  it('empty texts are no facts', () => {
    const body = {
      queries: {
        espalier_system: [{ uuid: 'U', computer_name: '', hostname: 'mac-01' }],
        espalier_os: [{ version: '15.1' }],
      },
    };
    expect(readReport(body).facts).toEqual({ hardwareUuid: 'U', name: 'mac-01', osVersion: '15.1' });
  });

  it('never throws and never believes more than its bound, whatever JSON comes', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('queries', 'statuses', 'messages', '__proto__'), fc.jsonValue()),
        (body) => {
          readReport(body);
        },
      ),
    );
    const many = readReport({ queries: { espalier_profiles: Array.from({ length: 10_001 }, () => row) } });
    expect(many.profiles?.state).toBe('query_error');
  });
});
