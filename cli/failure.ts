/** An end that its message explains: printed without a stack. */
export class Failure extends Error {
  override readonly name = 'Failure';
}
