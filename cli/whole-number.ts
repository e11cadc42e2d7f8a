import { InvalidArgumentError } from 'commander';

/** An option that takes a whole number; commander names the option before the words. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(
      most === Number.MAX_SAFE_INTEGER
        ? `It takes a whole number of at least ${least}.`
        : `It takes a whole number from ${least} to ${most}.`,
    );
  };
}
