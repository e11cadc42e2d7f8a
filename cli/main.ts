#!/usr/bin/env node
import { Command } from 'commander';
import { EspalierError } from '../core/errors.ts';
import { ApiError } from './client.ts';
import { addDemo } from './demo.ts';
import { addEnrollLink } from './enroll-link.ts';
import { addGet } from './get.ts';
import { addServerCommands } from './up.ts';
import { addWhy } from './why.ts';

const program = new Command('espalier')
  .description('An Apple MDM server that knows why.')
  .showHelpAfterError()
  .enablePositionalOptions();

addServerCommands(program);
addDemo(program);
addEnrollLink(program);
addGet(program);
addWhy(program);

try {
  await program.parseAsync();
} catch (error) {
  console.error(said(error));
  process.exitCode = 1;
}

/** One line of what is wrong, one of what to do; a stack only for what is our own fault. */
function said(error: unknown): string {
  if (error instanceof EspalierError) {
    return [`espalier: ${error.message} (${error.code})`, ...(error.fix === undefined ? [] : [error.fix])].join('\n');
  }
  if (error instanceof ApiError) return `espalier: ${error.message}`;
  return `espalier: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}
