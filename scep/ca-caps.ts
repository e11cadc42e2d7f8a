/**
 * RFC 8894 3.5.2. Without POSTPKIOperation clients put the message into the query (SCE-02); without Renewal macOS says
 * the server does not support it (SCE-14). SHA-1 and DES3 are for clients older than AES; single DES has no word.
 */
const CAPABILITIES = ['Renewal', 'SHA-1', 'SHA-256', 'AES', 'DES3', 'SCEPStandard', 'POSTPKIOperation'] as const;

export const CA_CAPS: Buffer = Buffer.from(`${CAPABILITIES.join('\n')}\n`, 'ascii');
