/**
 * @file The tasks of LongBench, sixteen English and five Chinese ones, as data: prompts, limits and metrics.
 *
 * Prompts and limits are those of LongBench (https://github.com/THUDM/LongBench, commit 2e00731f, `config/`), spelling
 * mistakes included, since the published scores were made with them. LongBench is under the MIT licence, "Copyright (c)
 * 2023 THU-KEG & Zhipu AI"; its terms are those of this project's LICENSE, and its notice is to stay with these prompts.
 */
import { qaF1Chinese, retrievalChinese, rougeLChinese } from "../../metrics/chinese.ts";
import { classification } from "../../metrics/classification.ts";
import { count } from "../../metrics/count.ts";
import { editSimilarity } from "../../metrics/edit_similarity.ts";
import { qaF1 } from "../../metrics/qa_f1.ts";
import { retrieval } from "../../metrics/retrieval.ts";
import { rougeL } from "../../metrics/rouge_l.ts";

/** A score in [0, 1] of a prediction against one answer; `classes` matter to classification only. */
export type Metric = (prediction: string, answer: string, classes: readonly string[]) => number;

/** How a task is asked and scored. */
export interface LongBenchTask {
  /** The prompt, with the places `{context}` and `{input}`; some tasks have no input. */
  readonly prompt: string;
  readonly maxNewTokens: number;
  readonly metric: Metric;
  /** The prompt ends in examples or code to continue, and is given to chat models as it is, without a chat template. */
  readonly plain: boolean;
  /** Only the first line of an answer counts, not looking at newlines before it. */
  readonly firstLine: boolean;
  /** A newline ends the answer, unless it is the first token. */
  readonly stopAtNewline: boolean;
  /** The records list the classes that there are. */
  readonly hasClasses: boolean;
}

/** What most tasks have in common. */
const USUAL = { plain: false, firstLine: false, stopAtNewline: false, hasClasses: false } as const;

/** The three tasks over several documents share a prompt. */
const MULTI_DOCUMENT =
  "Answer the question based on the given passages. Only give me the answer and do not output any " +
  "other words.\n\nThe following are given passages.\n{context}\n\n" +
  "Answer the question based on the given passages. Only give me the answer and do not output any " +
  "other words.\n\nQuestion: {input}\nAnswer:";

export const LONGBENCH_TASKS: Readonly<Record<string, LongBenchTask>> = {
  narrativeqa: {
    ...USUAL,
    prompt: "You are given a story, which can be either a novel or a movie script, and a question. Answer the " +
      "question asconcisely as you can, using a single phrase if possible. Do not provide any explanation.\n\n" +
      "Story: {context}\n\n" +
      "Now, answer the question based on the story asconcisely as you can, using a single phrase if " +
      "possible. Do not provide any explanation.\n\nQuestion: {input}\n\nAnswer:",
    maxNewTokens: 128,
    metric: qaF1,
  },
  qasper: {
    ...USUAL,
    prompt: "You are given a scientific article and a question. Answer the question as concisely as you can, " +
      "using a single phrase or sentence if possible. If the question cannot be answered based on the " +
      'information in the article, write "unanswerable". If the question is a yes/no question, answer ' +
      '"yes", "no", or "unanswerable". Do not provide any explanation.\n\nArticle: {context}\n\n' +
      " Answer the question based on the above article as concisely as you can, using a single phrase or " +
      "sentence if possible. If the question cannot be answered based on the information in the article, " +
      'write "unanswerable". If the question is a yes/no question, answer "yes", "no", or "unanswerable". ' +
      "Do not provide any explanation.\n\nQuestion: {input}\n\nAnswer:",
    maxNewTokens: 128,
    metric: qaF1,
  },
  multifieldqa_en: {
    ...USUAL,
    prompt: "Read the following text and answer briefly.\n\n{context}\n\n" +
      "Now, answer the following question based on the above text, only give me the answer and do not " +
      "output any other words.\n\nQuestion: {input}\nAnswer:",
    maxNewTokens: 64,
    metric: qaF1,
  },
  hotpotqa: {
    ...USUAL,
    prompt: MULTI_DOCUMENT,
    maxNewTokens: 32,
    metric: qaF1,
  },
  "2wikimqa": {
    ...USUAL,
    prompt: MULTI_DOCUMENT,
    maxNewTokens: 32,
    metric: qaF1,
  },
  musique: {
    ...USUAL,
    prompt: MULTI_DOCUMENT,
    maxNewTokens: 32,
    metric: qaF1,
  },
  gov_report: {
    ...USUAL,
    prompt: "You are given a report by a government agency. Write a one-page summary of the report.\n\nReport:\n" +
      "{context}\n\nNow, write a one-page summary of the report.\n\nSummary:",
    maxNewTokens: 512,
    metric: rougeL,
  },
  qmsum: {
    ...USUAL,
    prompt: "You are given a meeting transcript and a query containing a question or instruction. Answer the " +
      "query in one or more sentences.\n\nTranscript:\n{context}\n\n" +
      "Now, answer the query based on the above meeting transcript in one or more sentences.\n\nQuery: {input}\n" +
      "Answer:",
    maxNewTokens: 512,
    metric: rougeL,
  },
  multi_news: {
    ...USUAL,
    prompt: "You are given several news passages. Write a one-page summary of all news. \n\nNews:\n{context}\n\n" +
      "Now, write a one-page summary of all the news.\n\nSummary:",
    maxNewTokens: 512,
    metric: rougeL,
  },
  trec: {
    ...USUAL,
    prompt: "Please determine the type of the question below. Here are some examples of questions.\n\n{context}\n" +
      "{input}",
    maxNewTokens: 64,
    metric: classification,
    plain: true,
    firstLine: true,
    hasClasses: true,
  },
  triviaqa: {
    ...USUAL,
    prompt: "Answer the question based on the given passage. Only give me the answer and do not output any other " +
      "words. The following are some examples.\n\n{context}\n\n{input}",
    maxNewTokens: 32,
    metric: qaF1,
    plain: true,
    firstLine: true,
  },
  samsum: {
    ...USUAL,
    prompt: "Summarize the dialogue into a few short sentences. The following are some examples.\n\n{context}\n\n" +
      "{input}",
    maxNewTokens: 128,
    metric: rougeL,
    plain: true,
    firstLine: true,
    stopAtNewline: true,
  },
  passage_count: {
    ...USUAL,
    prompt: "There are some paragraphs below sourced from Wikipedia. Some of them may be duplicates. Please " +
      "carefully read these paragraphs and determine how many unique paragraphs there are after removing " +
      "duplicates. In other words, how many non-repeating paragraphs are there in total?\n\n{context}\n\n" +
      "Please enter the final count of unique paragraphs after removing duplicates. The output format " +
      "should only contain the number, such as 1, 2, 3, and so on.\n\nThe final answer is: ",
    maxNewTokens: 32,
    metric: count,
  },
  passage_retrieval_en: {
    ...USUAL,
    prompt: "Here are 30 paragraphs from Wikipedia, along with an abstract. Please determine which paragraph the " +
      "abstract is from.\n\n{context}\n\nThe following is an abstract.\n\n{input}\n\n" +
      "Please enter the number of the paragraph that the abstract is from. The answer format must be like " +
      '"Paragraph 1", "Paragraph 2", etc.\n\nThe answer is: ',
    maxNewTokens: 32,
    metric: retrieval,
  },
  lcc: {
    ...USUAL,
    prompt: "Please complete the code given below. \n{context}Next line of code:\n",
    maxNewTokens: 64,
    metric: editSimilarity,
    plain: true,
  },
  "repobench-p": {
    ...USUAL,
    prompt: "Please complete the code given below. \n{context}{input}Next line of code:\n",
    maxNewTokens: 64,
    metric: editSimilarity,
    plain: true,
  },
  multifieldqa_zh: {
    ...USUAL,
    prompt:
      "阅读以下文字并用中文简短回答：\n\n{context}\n\n现在请基于上面的文章回答下面的问题，只告诉我答案，不要输出任何其他字词。" +
      "\n\n问题：{input}\n回答：",
    maxNewTokens: 64,
    metric: qaF1Chinese,
  },
  dureader: {
    ...USUAL,
    prompt:
      "请基于给定的文章回答下述问题。\n\n文章：{context}\n\n请基于上述文章回答下面的问题。\n\n问题：{input}\n回答：",
    maxNewTokens: 128,
    metric: rougeLChinese,
  },
  vcsum: {
    ...USUAL,
    prompt: "下面有一段会议记录，请你阅读后，写一段总结，总结会议的内容。\n会议记录：\n{context}\n\n会议总结：",
    maxNewTokens: 512,
    metric: rougeLChinese,
  },
  lsht: {
    ...USUAL,
    prompt: "请判断给定新闻的类别，下面是一些例子。\n\n{context}\n{input}",
    maxNewTokens: 64,
    metric: classification,
    plain: true,
    firstLine: true,
    hasClasses: true,
  },
  passage_retrieval_zh: {
    ...USUAL,
    prompt:
      "以下是若干段落文字，以及其中一个段落的摘要。请确定给定的摘要出自哪一段。\n\n{context}\n\n下面是一个摘要\n\n{input}\n\n" +
      '请输入摘要所属段落的编号。答案格式必须是"段落1"，"段落2"等格式\n\n答案是：',
    maxNewTokens: 32,
    metric: retrievalChinese,
  },
};
