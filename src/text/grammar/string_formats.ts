/** @file The values of JSON Schema's `format` that can be followed, as regular expressions for some of what is valid. */

const OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const LABEL = "[a-zA-Z0-9]([a-zA-Z0-9\\-]{0,61}[a-zA-Z0-9])?";
const HOST = `${LABEL}(\\.${LABEL}){0,3}`;
const EVERY_FOURTH = "(0[48]|[2468][048]|[13579][26])";
const LEAP_YEAR = `([0-9]{2}${EVERY_FOURTH}|(0[48]|[2468][048]|[13579][26])00)`;
const DAY = "(0[1-9]|1[0-9]|2[0-8])";
const DATE = `([0-9]{4}-((0[1-9]|1[0-2])-${DAY}|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)|${LEAP_YEAR}-02-29)`;
const TIME = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+\\-]([01][0-9]|2[0-3]):[0-5][0-9])";
const HEX = "[0-9a-fA-F]";

/** By name. What else would be valid is not generated: a leap second, say, or an address with a quoted part. */
export const STRING_FORMATS: Readonly<Record<string, string>> = {
  date: DATE,
  time: TIME,
  "date-time": `${DATE}T${TIME}`,
  duration:
    "P([0-9]{1,4}D(T[0-9]{1,4}H)?|T([0-9]{1,4}H([0-9]{1,4}M)?|[0-9]{1,4}M([0-9]{1,4}S)?|[0-9]{1,4}S)|[0-9]{1,4}W|" +
    "[0-9]{1,4}Y([0-9]{1,4}M)?|[0-9]{1,4}M)",
  email: `[a-zA-Z0-9_+\\-]{1,32}(\\.[a-zA-Z0-9_+\\-]{1,32}){0,3}@${LABEL}(\\.${LABEL}){1,3}`,
  hostname: HOST,
  ipv4: `${OCTET}(\\.${OCTET}){3}`,
  ipv6: `${HEX}{1,4}(:${HEX}{1,4}){7}`,
  uuid: `${HEX}{8}-${HEX}{4}-[1-8]${HEX}{3}-[89abAB]${HEX}{3}-${HEX}{12}`,
  uri: `https?://${HOST}(:[1-9][0-9]{0,3})?(/[a-zA-Z0-9_.~\\-]{0,64}){0,16}(\\?[a-zA-Z0-9_.~=&\\-]{0,256})?`,
};
