/** The few words of a logger that features use; pino satisfies it. Values are JSON-escaped by the sink. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
