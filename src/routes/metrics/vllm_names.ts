/**
 * @file The metrics of vLLM beside ours, under its names, so that what was made for it works unchanged: Grafana's dashboards,
 * autoscalers, and the Gateway API Inference Extension of Kubernetes.
 *
 *     ebb_num_requests_waiting{model_name="m"} 3   ->   vllm:num_requests_waiting{model_name="m",engine="0"} 3
 */

/** Ours, and vLLM's names of the same, of today and of earlier versions. */
const VLLM_NAMES: Readonly<Record<string, readonly string[]>> = {
  num_requests_running: ["num_requests_running"],
  num_requests_waiting: ["num_requests_waiting"],
  kv_cache_usage_perc: ["kv_cache_usage_perc", "gpu_cache_usage_perc"],
  prompt_tokens_total: ["prompt_tokens_total"],
  generation_tokens_total: ["generation_tokens_total"],
  request_success_total: ["request_success_total"],
  prefix_cache_queries_total: ["prefix_cache_queries_total"],
  prefix_cache_hits_total: ["prefix_cache_hits_total"],
  time_to_first_token_seconds: ["time_to_first_token_seconds"],
  inter_token_latency_seconds: ["inter_token_latency_seconds", "time_per_output_token_seconds"],
  e2e_request_latency_seconds: ["e2e_request_latency_seconds"],
  request_queue_time_seconds: ["request_queue_time_seconds"],
  request_prefill_time_seconds: ["request_prefill_time_seconds"],
  request_decode_time_seconds: ["request_decode_time_seconds"],
  request_inference_time_seconds: ["request_inference_time_seconds"],
  request_prompt_tokens: ["request_prompt_tokens"],
  request_generation_tokens: ["request_generation_tokens"],
  request_params_max_tokens: ["request_params_max_tokens"],
};

/** vLLM runs several engines in one server; here there is one. */
const ENGINE = 'engine="0"';

/**
 * @param text metrics in Prometheus's text format, in which each begins with `# HELP`
 * @param cache what vLLM tells of its cache in the labels of `vllm:cache_config_info`
 * @returns them, and behind them those that vLLM has a name for
 */
export function withVllmNames(
  text: string,
  prefix: string,
  cache: { readonly model: string; readonly blockRows: number; readonly blocks: number } | null,
): string {
  const families = text.split(/^(?=# HELP )/m);
  const copies = families.flatMap((family) => {
    const own = /^# HELP (\S+)/.exec(family)?.[1].slice(prefix.length) ?? "";
    return (VLLM_NAMES[own] ?? []).map((name) =>
      family.replace(new RegExp(`^(# \\w+ |)${prefix}${own}(\\w*)(\\{?)`, "gm"), (_, comment, end, brace) => {
        const labels = comment ? "" : brace ? `{${ENGINE},` : `{${ENGINE}}`;
        return `${comment}vllm:${name}${end}${labels}`;
      })
    );
  });
  if (cache !== null) copies.push(cacheInfo(cache));
  return [text.replace(/\n*$/, "\n"), ...copies].join("");
}

function cacheInfo({ model, blockRows, blocks }: { model: string; blockRows: number; blocks: number }): string {
  const escaped = model.replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n");
  const labels = [`model_name="${escaped}"`, ENGINE, `block_size="${blockRows}"`, `num_gpu_blocks="${blocks}"`];
  return [
    "# HELP vllm:cache_config_info The KV cache",
    "# TYPE vllm:cache_config_info gauge",
    `vllm:cache_config_info{${labels.join(",")}} 1`,
    "",
  ].join("\n");
}
