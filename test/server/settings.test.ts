import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { EspalierError } from '../../core/errors.ts';
import { readDatabaseSettings, readSettings } from '../../server/settings.ts';

const GOOD = { ESPALIER_PUBLIC_URL: 'https://mdm.example.com', ESPALIER_TLS_CERT: 'a.pem', ESPALIER_TLS_KEY: 'a.key' };

function refusal(environment: NodeJS.ProcessEnv): EspalierError {
  try {
    readSettings(environment);
  } catch (error) {
    if (error instanceof EspalierError) return error;
  }
  throw new Error('the settings were accepted');
}

describe('readSettings', () => {
  it('fills in safe defaults: the admin listener is on loopback', () => {
    const settings = readSettings(GOOD);
    expect(settings.ADMIN_LISTEN.host).toBe('127.0.0.1');
    expect(settings.PUBLIC_URL).toBe('https://mdm.example.com');
    expect(settings.RECONCILE_INTERVAL_MS).toBe(30_000);
  });

  it.each([
    ['http://mdm.example.com', 'http'],
    ['https://mdm.example.com/mdm', 'path'],
    ['https://mdm.example.com?x=1', 'path'],
    ['mdm.example.com', 'URL'],
    ['https://admin:word@mdm.example.com', 'user'],
  ])('refuses PUBLIC_URL %s', (url) => {
    const error = refusal({ ...GOOD, ESPALIER_PUBLIC_URL: url });
    expect(error.code).toBe('settings_invalid');
    expect(error.message).toContain('ESPALIER_PUBLIC_URL');
  });

  it('refuses a name it does not know, so that a typing error is not a default', () => {
    expect(refusal({ ...GOOD, ESPALIER_PUBLICURL: 'x' }).message).toContain('ESPALIER_PUBLICURL is not a setting');
  });

  it('names every fault at once', () => {
    const error = refusal({ ESPALIER_LISTEN: 'nowhere', ESPALIER_LOG_LEVEL: 'loud' });
    expect(error.message).toContain('ESPALIER_PUBLIC_URL is not set');
    expect(error.message).toContain('ESPALIER_LISTEN');
    expect(error.message).toContain('ESPALIER_LOG_LEVEL');
  });

  it.each(['DATA', 'DATABASE_URL', 'KEK'])('refuses an empty %s', (name) => {
    expect(refusal({ ...GOOD, [`ESPALIER_${name}`]: '' }).message).toContain(`ESPALIER_${name}: is empty`);
  });

  it('migrate finds the database where the server does: in the file too', () => {
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'espalier-settings-')), 'config.json');
    writeFileSync(file, JSON.stringify({ DATABASE_URL: 'postgres://db.example/espalier', DATA: '/var/lib/espalier' }));
    expect(readDatabaseSettings({ ESPALIER_CONFIG: file })).toEqual({
      DATABASE_URL: 'postgres://db.example/espalier',
      DATA: '/var/lib/espalier',
    });
  });

  it('says what is missing along with what is wrong, and no fault twice', () => {
    const { message } = refusal({ ESPALIER_PUBLIC_URL: 'http://mdm.example.com' });
    expect(message).toContain('must begin with https://');
    expect(message).toContain('ESPALIER_TLS_CERT and ESPALIER_TLS_KEY are not set');
    expect(message).not.toContain('no user, path');
  });

  it('needs the certificate and its key together', () => {
    expect(refusal({ ...GOOD, ESPALIER_TLS_KEY: undefined }).message).toContain('go together');
    expect(refusal({ ESPALIER_PUBLIC_URL: 'https://a.example' }).fix).toContain('PEM');
  });

  it('reads a file, and the environment wins over it', () => {
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'espalier-settings-')), 'config.json');
    writeFileSync(
      file,
      JSON.stringify({ PUBLIC_URL: 'https://file.example', TLS_CERT: 'c', TLS_KEY: 'k', LOG_LEVEL: 'warn' }),
    );
    const settings = readSettings({ ESPALIER_CONFIG: file, ESPALIER_LOG_LEVEL: 'error' });
    expect(settings.PUBLIC_URL).toBe('https://file.example');
    expect(settings.LOG_LEVEL).toBe('error');
    writeFileSync(file, '[1]');
    expect(refusal({ ESPALIER_CONFIG: file }).message).toContain('one JSON object');
  });
});
