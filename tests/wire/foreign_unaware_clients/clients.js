// Clients as their applications use them: none of them knows of entity-tags, and none sends If-Match.
//
//   node -e "$(cat clients.js)" -- axios|react-admin URL lose|storm CLIENTS INCREMENTS
//
// Each client adds one to the counter in /posts/1 by reading it whole and writing it whole. What an application
// does about a 409 is the one thing that is written here: it reads again, and tries again.

const kinds = {
  // axios with its defaults.
  axios(url, token) {
    const http = require("axios").create({ baseURL: url, headers: { Authorization: `Bearer ${token}` } });
    return {
      read: async () => (await http.get("/posts/1")).data,
      write: (post) => http.put("/posts/1", post),
      status: (error) => error.response?.status,
      kind: (error) => error.response?.data?.kind,
    };
  },
  // The data provider that react-admin has for json-server, with a token as its documentation adds one.
  "react-admin"(url, token) {
    const { fetchUtils } = require("ra-core");
    const user = { authenticated: true, token: `Bearer ${token}` };
    const provider = require("ra-data-json-server")(url, (to, options = {}) =>
      fetchUtils.fetchJson(to, { ...options, user }),
    );
    return {
      read: async () => (await provider.getOne("posts", { id: 1 })).data,
      write: (post) => provider.update("posts", { id: 1, data: post, previousData: post }),
      status: (error) => error.status,
      kind: (error) => error.body?.kind,
    };
  },
};

const [kind, url, game, clients, increments] = process.argv.slice(1);
const everyone = Array.from({ length: Number(clients) }, (_, n) => kinds[kind](url, `client-${n}`));
const told = { acknowledged: 0, conflicts: {} };

// One write; whether it was acknowledged.
async function write(client, post) {
  try {
    await client.write(post);
    told.acknowledged += 1;
    return true;
  } catch (error) {
    if (client.status(error) !== 409) throw error;
    const why = client.kind(error);
    told.conflicts[why] = (told.conflicts[why] ?? 0) + 1;
    return false;
  }
}

const plusOne = (post) => ({ ...post, value: post.value + 1 });

const games = {
  // Everybody reads, and then everybody writes, one after the other.
  async lose() {
    const posts = await Promise.all(everyone.map((client) => client.read()));
    for (const [n, client] of everyone.entries()) await write(client, plusOne(posts[n]));
  },
  // Everybody at once, each as often as it takes.
  async storm() {
    const run = async (client) => {
      for (let done = 0; done < Number(increments); ) {
        if (await write(client, plusOne(await client.read()))) done += 1;
      }
    };
    await Promise.all(everyone.map(run));
  },
};

games[game]().then(
  () => console.log(JSON.stringify(told)),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
