import type { DemoOptions } from '../demo.ts';

export async function runDemo(_options: DemoOptions): Promise<number> {
  throw new Error('the demo is being built');
}
