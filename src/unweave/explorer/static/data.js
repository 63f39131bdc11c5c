"use strict";
// Data files are scripts that call `unweave.receive`: a page opened from disk may load scripts but may not fetch.
const unweave = {};
{
  const received = new Map();
  const loading = new Map();
  const rules = {
    createScriptURL(key) {
      if (!/^(data|shared)\/[\w/-]+\.js$/.test(key)) throw new TypeError(`${key}: no data file`);
      return key;
    },
  };
  const policy = window.trustedTypes ? window.trustedTypes.createPolicy("unweave", rules) : rules;

  unweave.receive = (key, content) => received.set(key, content);

  unweave.received = (key) => received.get(key);

  unweave.load = (key) => {
    if (received.has(key)) return Promise.resolve(received.get(key));
    if (!loading.has(key)) {
      loading.set(key, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = policy.createScriptURL(key);
        script.onload = () => resolve(received.get(key));
        script.onerror = () => {
          loading.delete(key);
          reject(new Error(`${key} is missing: run \`snakemake explorer\` again`));
        };
        document.head.append(script);
      }));
    }
    return loading.get(key);
  };

  // What the data files hold, by what it is about.
  unweave.table = (dictionary) => unweave.load(`data/${dictionary.place}/table.js`);
  unweave.tree = (dictionary) => unweave.load(`data/${dictionary.place}/tree.js`);
  unweave.texts = (model) => unweave.load(`shared/texts/${model}.js`);

  unweave.contexts = async (dictionary, row) => {
    const size = unweave.site.features_per_shard;
    const shard = Math.floor(row / size);
    const [details, neighbours] = await Promise.all([
      unweave.load(`data/${dictionary.place}/contexts-${shard}.js`),
      unweave.load(`shared/neighbours/${dictionary.place}/${shard}.js`),
    ]);
    return { ...details[row % size], neighbours: neighbours[row % size] };
  };

  unweave.tokenFeatures = async (dictionary, text) => {
    const size = unweave.site.texts_per_shard;
    const shard = await unweave.load(`data/${dictionary.place}/tokens-${Math.floor(text / size)}.js`);
    return shard[text % size];
  };
}
