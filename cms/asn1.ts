export {
  Asn1Budget,
  Asn1Element,
  type Asn1Limits,
  DEFAULT_MAX_DEPTH,
  DEFAULT_MAX_NODES,
  Fields,
  readAsn1,
  TAG,
  walk,
} from './asn1-element.ts';
export {
  bitStringOctets,
  boolean,
  integerOctets,
  namedBits,
  objectIdentifier,
  octets,
  smallInteger,
  time,
} from './asn1-values.ts';
