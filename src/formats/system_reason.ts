/** @file Why the system refused something, in words for people. */

/** `Permission denied (os error 13): open '/a/b'` is "Permission denied": the sentence around it names the file. */
export function systemReason(error: unknown): string {
  return (error as Error).message.replace(/ \(os error \d+\)(: \w+ '.*')?$/, "");
}
