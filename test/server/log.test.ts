import { expect, it } from 'vitest';
import { EspalierError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import { createLog } from '../../server/log.ts';

it('neither secrets nor what a database error quotes of a row is logged', () => {
  let text = '';
  const log = createLog('info', {
    write: (line) => {
      text += line;
    },
  });
  const fields = { code: '23514', detail: 'Failing row contains (1, magic-word)', where: 'JSON data: magic-word' };
  const cause = Object.assign(new Error('new row violates a check'), fields);
  log.error({ err: cause }, 'failed');
  log.error(
    { err: new EspalierError('store_unavailable', 'no', { cause }), token: new Secret('magic-word') },
    'failed',
  );
  expect(text).toContain('23514');
  expect(text).not.toContain('magic-word');
});
