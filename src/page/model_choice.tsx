/** @file Which model is asked: its name, or a list of them where the server has several. */
import { valueOf } from "./choice_form.tsx";
import { type Model, nameInList } from "./models.ts";

interface Props {
  readonly models: readonly Model[];
  readonly chosen: Model;
  readonly onChoose: (id: string) => void;
}

export function ModelChoice({ models, chosen, onChoose }: Props) {
  return (
    <div class="model">
      {models.length === 1 ? <span class="name">{chosen.id}</span> : (
        <label>
          <span class="unseen">Model</span>
          <select value={chosen.id} onChange={(event: Event) => onChoose(valueOf(event))}>
            {models.map((model) => <option value={model.id} key={model.id}>{nameInList(model)}</option>)}
          </select>
        </label>
      )}
      {chosen.meta && <span class="hint">on {chosen.meta.device}</span>}
    </div>
  );
}
