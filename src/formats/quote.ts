/** @file Text out of a model file, made safe for a message. */

/** The text in double quotes, control characters escaped, cut after 80 characters: a hostile name can be megabytes. */
export function quote(text: string): string {
  return text.length <= 80
    ? JSON.stringify(text)
    : `${JSON.stringify(text.slice(0, 80))}... (${text.length} characters)`;
}
