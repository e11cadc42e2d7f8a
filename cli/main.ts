#!/usr/bin/env node
import { Command } from 'commander';
import { EspalierError } from '../core/errors.ts';
import { addApply } from './apply.ts';
import { ApiError } from './client.ts';
import { addDemo } from './demo.ts';
import { addEnrollLink } from './enroll-link.ts';
import { addExport } from './export.ts';
import { Failure } from './failure.ts';
import { addGet } from './get.ts';
import { addHosts } from './hosts.ts';
import { addLabels } from './labels.ts';
import { addProfile } from './profile.ts';
import { addResend } from './resend.ts';
import { addTeams } from './teams.ts';
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
addHosts(program);
addLabels(program);
addTeams(program);
addProfile(program);
addApply(program);
addExport(program);
addWhy(program);
addResend(program);

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
  if (error instanceof ApiError || error instanceof Failure) return `espalier: ${error.message}`;
  if (isSystemError(error)) return `espalier: ${systemSays(error)}`;
  return `espalier: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}

interface SystemError extends NodeJS.ErrnoException {
  readonly code: string;
  readonly syscall: string;
}

/** A port that is taken, a folder that is not writable: this machine refused, and a stack would not help. */
function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && 'syscall' in error && 'code' in error;
}

function systemSays(error: SystemError): string {
  if (error.code === 'EADDRINUSE') {
    return `${error.message}\nAnother process listens there, perhaps another Espalier. Stop it, or choose another address (docs/settings.md).`;
  }
  return error.message;
}
