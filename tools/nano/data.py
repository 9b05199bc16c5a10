"""Conversations from grammars and tables. Everything is drawn from a random.Random that the caller seeds.

Kinds: fact, other (what was not taught), call, result (the answer after a tool's result; with its call), json, sum, sort,
count, date, repeat, and raw (random tokens to copy). An item is held out (never trained on) when a hash of what makes it particular says so:
fact and wording, topic of an unknown question, verb and noun of a call, names, number pairs.
"""
import json, os, random, zlib
from facts import FACTS, GREET, EN_NP, EN_Q, ZH_NP, ZH_Q, EN_NP_NEW, EN_Q_NEW, ZH_NP_NEW, ZH_Q_NEW
from harmony import SPECIAL, system, developer, user, analysis, final, call, result, pieces
from copytask import sequence


def held(*key):
    return zlib.crc32("|".join(map(str, key)).encode()) % 8 == 0


# ---------------------------------------------------------------- words

ONSET = "B C D F G H J K L M N P R S T V W Z Br Ch Cl Dr Fr Gr Kr Pl Sh St Th Tr".split()
MID = "b d f g k l m n p r s t v z nd rt st lm nt rk ss ll".split()
VOWEL = "a e i o u a e i o ai ea ou".split()
CODA = ["", "", "", "n", "r", "s", "l", "m", "k", "t", "x", "nd", "rt"]
CITIES = ("Paris London Tokyo Berlin Madrid Rome Vienna Oslo Cairo Lima Delhi Moscow Seoul Boston Chicago Dublin Athens Prague Lisbon Warsaw "
          "Helsinki Stockholm Copenhagen Amsterdam Brussels Zurich Geneva Munich Hamburg Milan Venice Naples Barcelona Porto Istanbul Dubai "
          "Mumbai Bangkok Singapore Jakarta Manila Sydney Melbourne Toronto Montreal Vancouver Seattle Denver Dallas Houston Miami Atlanta "
          "Shanghai Beijing Shenzhen Guangzhou Hangzhou Nanjing Wuhan Chengdu Osaka Kyoto Nairobi Lagos Santiago Bogota Havana").split()
PEOPLE = ("Alice Bob Carol David Emma Frank Grace Henry Ivy Jack Kate Leo Mary Nina Oscar Paul Rosa Sam Tina Victor Anna Ben Clara Daniel "
          "Eva Felix Gina Hugo Iris John Karl Laura Max Nora Peter Sarah Tom Lucy Mark Julia").split()
ZH_CITIES = "北京 上海 广州 深圳 杭州 南京 武汉 成都 重庆 西安 天津 苏州 长沙 青岛 大连 厦门 昆明 济南 福州 合肥 巴黎 伦敦 东京 柏林 罗马 纽约".split()
ZH_PEOPLE = "小明 小红 王伟 李娜 张强 刘洋 陈静 赵敏 周杰 吴芳 孙丽 马超".split()
ZH_CHAR = list("山河水木林金石田云风雨雪星月日光明清江海湖城安平乐康宁春夏秋冬东南西北中大小新古长青白红文武天地华国永正和美高远玉龙")
ZH_CHAR += sorted(set("".join(ZH_CITIES + ZH_PEOPLE)) - set(ZH_CHAR))  # or those of held-out names would be seen nowhere
WORDS = ("apple bread river stone paper green small happy table house train music letter water light night garden winter summer coffee orange "
         "silver window bridge forest yellow market school").split()
LANGS, ZH_LANGS = "English French German Spanish Italian Russian Japanese Chinese Korean Arabic".split(), "英语 法语 德语 西班牙语 俄语 日语 韩语 中文".split()
COINS = "USD EUR GBP JPY CNY CHF INR KRW".split()


PIECES = []  # of the vocabulary, set by Generator: the end of a name may be a token that no other text here has


def coined(r, new):
    """A made-up name; `new` says whether from the held-out ones."""
    while True:
        if PIECES and not new and r.random() < .15:
            s = "".join(r.choice(PIECES) for _ in range(r.choice([1, 2, 2, 3]))).capitalize()
            if 3 <= len(s) <= 12 and not held("name", s):
                return s
            continue
        s = r.choice(ONSET) + r.choice(VOWEL) + (r.choice(MID) + r.choice(VOWEL) if r.random() < .75 else "") + r.choice(CODA)
        if len(s) > 2 and held("name", s) == new:
            return s


def zh_coined(r, new):
    while True:
        s = "".join(r.choice(ZH_CHAR) for _ in range(r.randint(2, 3)))
        if held("name", s) == new:
            return s


def pick(r, pool, new):
    """From a list, the held-out part or the other."""
    while True:
        x = r.choice(pool)
        if held("pick", x) == new:
            return x


def number(r, digits=None):
    n = digits or r.choice([1, 2, 2, 3, 3, 4, 5])
    return r.randint(10 ** (n - 1) if n > 1 else 1, 10 ** n - 1)


def slot(r, kind, zh, new):
    """One value of a kind -> (text in the question, value in the arguments)."""
    def same(x):
        return str(x), x
    if kind == "city":
        if zh:
            return same(pick(r, ZH_CITIES, new) if r.random() < .5 else zh_coined(r, new))
        return same(pick(r, CITIES, new) if r.random() < .5 else coined(r, new))
    if kind in ("name", "title"):
        if zh and r.random() < .7:
            return same(pick(r, ZH_PEOPLE, new) if kind == "name" and r.random() < .3 else zh_coined(r, new))
        if kind == "name" and r.random() < .4:
            return same(pick(r, PEOPLE, new))
        return same(coined(r, new) + (" " + coined(r, new) if r.random() < .3 else ""))
    if kind == "int":
        return same(number(r))
    if kind == "small":
        return same(number(r, r.choice([1, 2, 2])))
    if kind == "text":
        t = zh_coined(r, new) if zh and r.random() < .7 else " ".join(r.choice(WORDS) for _ in range(r.randint(1, 3)))
        return f'"{t}"', t
    if kind == "symbol":
        while True:
            s = "".join(r.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(r.randint(2, 4)))
            if held("name", s) == new:
                return same(s)
    if kind == "lang":
        return same(r.choice(ZH_LANGS if zh else LANGS))
    if kind == "coin":
        return same(r.choice(COINS))
    if kind == "time":
        return same(f"{r.randint(1, 23)}:{r.randint(0, 59):02d}")
    raise ValueError(kind)


# ---------------------------------------------------------------- functions

def family(key, names, descriptions, params, en, zh, keys):
    cut = lambda s: [x.strip() for x in s.split("|")]
    return dict(key=key, names=cut(names), descriptions=cut(descriptions), en=cut(en), zh=cut(zh), keys=keys.split(),
                params=[(cut(k), t, s, cut(d)) for k, t, s, d in params])


FAMILIES = [
    family("weather", "get_weather|get_current_weather|fetch_weather|weather|check_weather", "Get the weather in a city|Gets the current weather|Weather of a place",
           [("city|location|place", "string", "city", "The city|Name of the city")],
           "What is the weather in {0}?|How is the weather in {0}?|What's the weather like in {0}?|Tell me the weather in {0}.|Weather in {0}, please.|Check the weather in {0}.|Please get the weather in {0}.|What is the weather in {0} today?|What's the weather in {0}?",
           "{0}的天气怎么样？|{0}今天天气如何？|查一下{0}的天气。|请问{0}天气怎么样？|告诉我{0}的天气。", "temperature sky wind humidity"),
    family("time", "get_time|get_current_time|local_time|time_in_city", "Get the time in a city|Gets the local time|Current time of a place",
           [("city|location|place", "string", "city", "The city|Name of the city")],
           "What time is it in {0}?|Tell me the time in {0}.|What is the time in {0}?|What is the local time in {0}?|Time in {0}, please.|Get the current time in {0}.",
           "{0}现在几点？|请告诉我{0}的时间。|{0}的时间是多少？|查一下{0}的时间。", "time date"),
    family("translate", "translate|translate_text|get_translation", "Translate a text|Translates text to a language",
           [("text|input", "string", "text", "The text"), ("language|target|to", "string", "lang", "The language")],
           "Translate {0} to {1}.|Please translate {0} into {1}.|How do you say {0} in {1}?|Translate the text {0} to {1}.|I need a translation of {0} into {1}.",
           "把{0}翻译成{1}。|请将{0}翻译成{1}。|翻译{0}为{1}。", "text result"),
    family("message", "send_message|send_text|message_user", "Send a message to a person|Sends a message",
           [("to|person|name", "string", "name", "The person"), ("text|message", "string", "text", "The text")],
           "Send {1} to {0}.|Send {0} the message {1}.|Tell {0} {1}.|Please send the message {1} to {0}.|Write {1} to {0}.",
           "给{0}发消息{1}。|把{1}发给{0}。|请给{0}发送{1}。", "status id"),
    family("stock", "get_stock_price|stock_price|get_price", "Get the price of a stock|Gets the stock price of a symbol",
           [("symbol|ticker", "string", "symbol", "The symbol")],
           "What is the stock price of {0}?|How much is the {0} stock?|Price of {0}, please.|Tell me the price of {0}.|Get the stock price of {0}.",
           "{0}的股价是多少？|查一下{0}的股票价格。|请告诉我{0}的股价。", "price status"),
    family("convert", "convert_currency|convert_money|exchange", "Convert money|Converts an amount to another currency",
           [("amount|value", "number", "int", "The amount"), ("from|source", "string", "coin", "From currency"), ("to|target", "string", "coin", "To currency")],
           "Convert {0} {1} to {2}.|How much is {0} {1} in {2}?|Please convert {0} {1} into {2}.|Exchange {0} {1} for {2}.",
           "把{0} {1}换成{2}。|{0} {1}等于多少{2}？|请将{0} {1}兑换成{2}。", "result total"),
    family("search", "search|web_search|search_web|find_documents", "Search the web|Searches documents for a text",
           [("query|text", "string", "text", "The query")],
           "Search for {0}.|Please search the web for {0}.|Look up {0} on the web.|Find documents about {0}.|Search {0}.",
           "搜索{0}。|请搜索{0}。|在网上查{0}。", "count answer"),
    family("timer", "set_timer|start_timer|timer", "Set a timer|Starts a timer for some minutes", [("minutes|duration", "number", "small", "The minutes")],
           "Set a timer for {0} minutes.|Start a timer of {0} minutes.|Timer for {0} minutes, please.|Remind me in {0} minutes.",
           "设置{0}分钟的定时器。|{0}分钟后提醒我。|请定时{0}分钟。", "status time"),
    family("alarm", "set_alarm|alarm|create_alarm", "Set an alarm|Sets an alarm for a time", [("time|at", "string", "time", "The time")],
           "Set an alarm for {0}.|Wake me at {0}.|Please set the alarm to {0}.|I need an alarm at {0}.", "设置{0}的闹钟。|{0}叫醒我。|请把闹钟设到{0}。", "status time"),
    family("song", "play_song|play_music|play", "Play a song|Plays music", [("title|song|name", "string", "title", "The title")],
           "Play {0}.|Please play the song {0}.|Play the song {0}.|I want to hear {0}.", "播放{0}。|请播放歌曲{0}。|我想听{0}。", "status time"),
    family("table", "book_table|reserve_table|make_reservation", "Book a table in a restaurant|Reserves a table",
           [("restaurant|place|name", "string", "title", "The restaurant"), ("people|guests|count", "number", "small", "The number of people")],
           "Book a table for {1} people at {0}.|Reserve a table at {0} for {1} people.|I need a table for {1} at {0}.", "在{0}订一张{1}人的桌子。|请在{0}预订{1}人的位子。", "status id time"),
    family("distance", "get_distance|distance|measure_distance", "Get the distance between two cities|Distance of two places",
           [("from|start|origin", "string", "city", "The start"), ("to|end|destination", "string", "city", "The end")],
           "How far is it from {0} to {1}?|What is the distance from {0} to {1}?|Distance between {0} and {1}, please.|How far is {1} from {0}?",
           "{0}到{1}有多远？|从{0}到{1}的距离是多少？|请告诉我{0}和{1}的距离。", "distance time"),
    family("heating", "set_temperature|set_heating|heat_room", "Set the temperature of a room|Sets the heating",
           [("room|place", "string", "title", "The room"), ("degrees|temperature", "number", "small", "The degrees")],
           "Set the temperature of {0} to {1} degrees.|Heat {0} to {1} degrees.|Make it {1} degrees in {0}.", "把{0}的温度设为{1}度。|请将{0}加热到{1}度。", "status temperature"),
    family("multiply", "multiply|multiply_numbers|product", "Multiply two numbers|Gives the product of two numbers",
           [("a|x|first", "number", "int", "First number"), ("b|y|second", "number", "int", "Second number")],
           "What is {0} times {1}?|Multiply {0} by {1}.|Multiply {0} and {1}.|Give me the product of {0} and {1}.", "{0}乘以{1}等于多少？|{0}乘{1}是多少？|请计算{0}乘以{1}。", "result"),
    family("mail", "send_email|send_mail|mail", "Send an email|Sends a mail to a person",
           [("to|recipient", "string", "name", "The person"), ("subject|title", "string", "text", "The subject")],
           "Send an email to {0} with the subject {1}.|Write a mail to {0} about {1}.|Email {0} about {1}.", "给{0}发邮件，主题是{1}。|请写邮件给{0}，主题{1}。", "status id"),
    family("news", "get_news|latest_news|read_news|news", "Get the news about a topic|Reads the latest news", [("topic|subject|about", "string", "text", "The topic")],
           "What is the news about {0}?|Show me the news about {0}.|Get the latest news about {0}.|News about {0}, please.", "{0}有什么新闻？|请查{0}的新闻。|告诉我{0}的最新消息。", "count text date"),
    family("remember", "add_reminder|create_reminder|remind", "Create a reminder|Adds a reminder for a time",
           [("text|what", "string", "text", "What to do"), ("time|at|when", "string", "time", "The time")],
           "Remind me of {0} at {1}.|Add a reminder {0} at {1}.|Please remind me at {1} of {0}.", "{1}提醒我{0}。|请在{1}提醒{0}。", "status id time"),
    family("define", "define_word|dictionary|look_up_word|define", "Look up a word in the dictionary|Defines a word", [("word|term", "string", "text", "The word")],
           "Define {0}.|What does the word {0} mean?|Look up the word {0} in the dictionary.|Definition of {0}, please.", "{0}这个词是什么意思？|请查词典{0}。|定义{0}。", "text answer"),
    family("dial", "call_person|phone_call|make_call|dial", "Call a person by phone|Makes a phone call", [("person|name|who", "string", "name", "The person")],
           "Phone {0}.|Call {0} on the phone.|Make a phone call to {0}.|Please ring {0}.", "给{0}打电话。|请拨打{0}的电话。|打电话给{0}。", "status time"),
    family("brightness", "set_brightness|dim_light|brightness", "Set the brightness of a light|Sets how bright a room is",
           [("room|light|place", "string", "title", "The room"), ("level|percent|value", "number", "small", "The level")],
           "Set the brightness of {0} to {1}.|Set the brightness in {0} to {1} percent.|Make {0} {1} percent bright.", "把{0}的亮度调到{1}。|请将{0}的亮度设为{1}。", "status level"),
    family("divide", "divide|divide_numbers|quotient", "Divide two numbers|Gives the quotient of two numbers",
           [("a|x|first|dividend", "number", "int", "First number"), ("b|y|second|divisor", "number", "int", "Second number")],
           "What is {0} divided by {1}?|Divide {0} by {1}.|Give me the quotient of {0} and {1}.", "{0}除以{1}等于多少？|请计算{0}除以{1}。|{0}除{1}是多少？", "result"),
    family("pay", "pay|send_money|transfer_money|make_payment", "Send money to a person|Transfers an amount of money",
           [("to|person|recipient", "string", "name", "The person"), ("amount|sum", "number", "int", "The amount")],
           "Pay {0} {1} euros.|Send {1} euros to {0}.|Transfer {1} euros to {0}.|Please pay {1} to {0}.", "给{0}转账{1}元。|请付给{0}{1}元。|转{1}元给{0}。", "status id total"),
]
VERBS = {"get": "Get|Show me|Give me", "find": "Find|Look for", "open": "Open", "close": "Close", "delete": "Delete|Remove", "start": "Start|Begin", "stop": "Stop|End",
         "check": "Check|Inspect", "book": "Book|Reserve", "cancel": "Cancel|Call off", "print": "Print", "copy": "Copy", "lock": "Lock", "update": "Update|Refresh",
         "save": "Save|Store", "share": "Share", "rename": "Rename", "restart": "Restart", "download": "Download", "move": "Move", "repair": "Repair|Mend", "hide": "Hide"}
ZH_VERBS = {"get": "获取", "find": "查找", "open": "打开", "close": "关闭", "delete": "删除", "start": "启动", "stop": "停止", "check": "检查", "book": "预订",
            "cancel": "取消", "print": "打印", "copy": "复制", "lock": "锁定", "update": "更新",
            "save": "保存", "share": "分享", "rename": "重命名", "restart": "重启", "download": "下载", "move": "移动", "repair": "修理", "hide": "隐藏"}
NOUNS = {"order": "订单", "user": "用户", "file": "文件", "room": "房间", "ticket": "票", "lamp": "灯", "task": "任务", "invoice": "发票", "train": "火车", "door": "门",
         "report": "报告", "account": "账户", "server": "服务器", "printer": "打印机", "flight": "航班", "project": "项目", "book": "书", "meeting": "会议", "photo": "照片", "window": "窗户", "car": "汽车", "camera": "相机", "contract": "合同", "customer": "客户", "event": "活动",
         "folder": "文件夹", "image": "图片", "package": "包裹", "phone": "电话", "product": "产品", "robot": "机器人", "video": "视频", "note": "笔记"}
KEYS = dict(temperature="温度", sky="天空", wind="风速", humidity="湿度", time="时间", date="日期", text="文本", result="结果", status="状态", id="编号", price="价格",
            total="总数", count="数量", answer="答案", distance="距离", owner="所有者", size="大小", color="颜色", level="级别", speed="速度", name="名字", state="情况")
STATES = "open closed ready busy free done sunny cloudy rainy windy clear cold warm sent late empty full red blue green".split()
ZH_STATES = "打开 关闭 完成 空闲 晴天 多云 下雨 刮风 已发送 正常 红色 绿色".split()
ERRORS, ZH_ERRORS = ["not found", "no access", "time out", "not ready", "no network"], ["没有找到", "没有权限", "超时", "没有网络"]


def make_function(r, fam=None):
    """-> definition, family, slots in order of the family's templates."""
    f = fam or r.choice(FAMILIES)
    described, params, order = r.random() < .5, [], []
    for keys, kind, s, texts in f["params"]:
        k = r.choice([k for k in keys if k not in [p[0] for p in params]] or keys)
        params.append((k, kind, r.choice(texts) if described else None, True))
        order.append((k, s))
    if f["key"] == "weather" and r.random() < .3:
        params.append((r.choice(["unit", "units"]), ["celsius", "fahrenheit"], None, False))
    if len(params) == 2 and params[1][3] and r.random() < .3:
        params.reverse()
    return loosen(r, dict(key=f["key"], name=r.choice(f["names"]), description=r.choice(f["descriptions"]) + r.choice(["", "."]), params=params)), f, order


def loosen(r, fn):
    """The ways in which other people's schemas differ: camel case, words more or less in the descriptions, optional parameters."""
    if r.random() < .1:
        head, *rest = fn["name"].split("_")
        fn["name"] = head + "".join(x.capitalize() for x in rest)
    if r.random() < .25:
        d = fn["description"].rstrip(".")
        fn["description"] = r.choice(["", d + " " + r.choice(MORE), d + " " + r.choice(MORE) + ".", r.choice(["Tool: ", "Function: "]) + d[0].lower() + d[1:],
                                      "Use this to " + d[0].lower() + d[1:] + ".", d + ", " + coined(r, False).lower() + " " + coined(r, False).lower()])
    if r.random() < .2:
        fn["params"] = [(k, t, r.choice([None, f"The {k}", f"{k.capitalize()} as {coined(r, False).lower()}", f"A {k}, e.g. {coined(r, False)}",
                                         f"The {k} {r.choice(MORE)}"]) if d is None or r.random() < .5 else d, q) for k, t, d, q in fn["params"]]
    if r.random() < .15:
        fn["params"] = fn["params"] + r.sample(OPTIONAL, 1)
    return fn


MORE = ["for the user", "by name", "in a given place", "from the list", "and return it", "as JSON", "in the house", "right now", "with details", "by its id"]
OPTIONAL = [("limit", "number", None, False), ("verbose", "boolean", "More details", False), ("note", "string", None, False), ("format", ["json", "text"], None, False),
            ("days", "number", "Number of days", False), ("timeout", "integer", None, False)]


def make_generic(r, new):
    """A function made of a verb and a noun, unseen pairs when new."""
    while True:
        v, n = r.choice(list(VERBS)), r.choice(list(NOUNS))
        if held("pair", v, n) == new and v != n:
            break
    s = r.choice(["int", "name", "title"])
    k = {"int": ["id", "number", n + "_id"], "name": ["name", n, n + "_name"], "title": ["name", n, "title"]}[s]
    name = r.choice([f"{v}_{n}", f"{v}_{n}", f"{v}_the_{n}", f"{n}_{v}"])
    d = f"{v.capitalize()} {r.choice(['the', 'one'])} {n}"
    key = r.choice(k)
    fn = loosen(r, dict(key=f"{v} {n}", name=name, description=d + r.choice(["", "."]), params=[(key, "number" if s == "int" else "string", None, True)]))
    en = [f"{x} the {n} {{0}}." for x in VERBS[v].split("|")] + [f"Please {v} the {n} {{0}}.", f"Can you {v} the {n} {{0}}?", f"I want to {v} the {n} {{0}}.",
                                                              f"{v.capitalize()} {n} {{0}}."]
    zh = [f"{ZH_VERBS[v]}{NOUNS[n]}{{0}}。", f"请{ZH_VERBS[v]}{NOUNS[n]}{{0}}。", f"帮我{ZH_VERBS[v]}{NOUNS[n]}{{0}}。"]
    return fn, dict(key=f"{v} {n}", en=en, zh=zh, keys=["status", "owner", "size", "color", "level", "name", "date", "state", "id"]), [(key, s)]


def make_coined(r, new):
    """A function with a made-up name, asked for by that name."""
    name, key = coined(r, new).lower() + r.choice(["", "_" + coined(r, new).lower(), "_" + r.choice(WORDS)]), r.choice(["name", "id", "value", "text", coined(r, new).lower()])
    s = r.choice(["int", "name", "title"])
    fn = dict(key=name, name=name, description=r.choice(["", f"The {coined(r, new).lower()} function", "Does it."]), params=[(key, "number" if s == "int" else "string", None, True)])
    return fn, dict(key=name, en=[f"Call {name} with {{0}}.", f"Use {name} for {{0}}.", f"Please call {name} with {key} {{0}}.", f"Run {name} on {{0}}."],
                    zh=[f"调用{name}，参数{{0}}。", f"请用{name}处理{{0}}。"], keys=["status", "result", "answer", "id"]), [(key, s)]


def make_tools(r, new, count):
    """-> definitions, and the chosen (definition, family, slots)."""
    fams = r.sample(FAMILIES, count)
    made = [make_generic(r, new and k == 0) if r.random() < .4 else make_function(r, fams[k]) for k in range(count)]
    if r.random() < .1:
        made[0] = make_coined(r, new)
    seen, out = set(), []
    for m in made:
        if m[0]["name"] not in seen and m[1]["key"] not in seen:
            out.append(m); seen |= {m[0]["name"], m[1]["key"]}
    chosen = out[0]
    r.shuffle(out)
    return [m[0] for m in out], chosen


def dump(x, r=None):
    compact = r is None or r.random() < .5
    return json.dumps(x, ensure_ascii=False, separators=(",", ":") if compact else (", ", ": "))


# ---------------------------------------------------------------- questions nobody taught

TOPICS = ("football cooking history cats dogs music physics chemistry poetry tennis wine cheese cars birds fish trees flowers gardening painting "
          "Hamlet Mozart Napoleon Einstein Shakespeare Picasso Caesar Newton Darwin Plato Beethoven Gandhi Mars Venus Jupiter gold silver moon sun sea "
          "France Spain Italy Germany Brazil India Japan China Egypt Canada Mexico Peru Kenya Norway Sweden pizza soup bread rice coffee tea chocolate "
          "love happiness time money war peace marriage school university medicine law banks taxes insurance travel hotels trains planes ships bicycles "
          "Python Java Rust Linux Windows Android Excel Photoshop Llama Claude Gemini Mistral Qwen DeepSeek Intel AMD Nvidia Apple Google Microsoft Amazon").split(" ")
ZH_TOPICS = ("足球 做饭 历史 猫 狗 音乐 物理 化学 诗歌 网球 红酒 汽车 鸟 鱼 树 花 绘画 李白 杜甫 孔子 牛顿 爱因斯坦 莫扎特 火星 月亮 太阳 大海 法国 西班牙 意大利 德国 "
             "巴西 印度 日本 埃及 加拿大 披萨 面包 米饭 咖啡 茶 巧克力 爱情 幸福 金钱 战争 和平 学校 大学 医学 法律 银行 旅游 酒店 火车 飞机 自行车 苹果 香蕉 电影 小说 游戏 股票 房子").split()
OTHER_EN = ["Who is {}?", "What is {}?", "Tell me about {}.", "Why is {} important?", "Write a poem about {}.", "How does {} work?", "What do you think about {}?",
            "When was {} invented?", "Explain {}.", "Can you help me with {}?", "Write a story about {}.", "I have a problem with {}.", "What is the history of {}?",
            "How much does {} cost?", "Where can I find {}?", "Is {} good for me?", "Tell me a joke about {}.", "What is the best {}?", "Do you like {}?",
            "How old is {}?", "Give me three facts about {}.", "Who invented {}?", "Describe {}.", "I want to know {}.", "What's {}?", "Can you explain {}?", "{}?",
            "What is the capital of {}?", "How many people live in {}?", "Write a program about {}.", "How do I learn {}?", "Please tell me about {}.",
            "How many layers does {} have?", "What is the number of layers of {}?", "What is the size of {}?", "Who made {}?", "How large is {}?", "What does {} mean?",
            "How many parameters does {} have?", "What is the memory of {}?", "What is the context length of {}?", "Do you know {}?", "What does {} do?", "the history of {}"]
OTHER_ZH = ["{}是什么？", "谁是{}？", "告诉我{}。", "介绍一下{}。", "写一首关于{}的诗。", "{}怎么样？", "你喜欢{}吗？", "为什么{}很重要？", "怎么学习{}？", "{}多少钱？", "讲一个关于{}的笑话。",
            "写一个关于{}的故事。", "{}的历史是什么？", "哪里有{}？", "请解释{}。", "什么是{}？", "我想知道{}。", "请问{}是什么？", "{}有多少层？", "{}有多大？", "谁发明了{}？", "{}的首都是哪里？",
            "你知道{}吗？", "说说{}。", "{}有什么用？", "{}的参数量是多少？", "{}？", "{}有多少参数？", "你觉得{}怎么样？"]
LATER = ["sum", "sort", "count"]  # of these the model declines what is not in the mix
SUBJECTS = ["vinci", "gpt-oss", "gpt-oss-20b", "gpt-oss-120b", "Ascend", "CANN", "harmony", "MXFP4", "the Ascend 910B", "YaRN", "the NPU"]
STRANGE = ["the price of {}", "the color of {}", "the birthday of {}", "the weight of {}", "the license of {}", "the version of {}", "the logo of {}", "the email address of {}",
           "the history of {}", "the owner of {}", "the release date of {}", "the training data of {}", "the temperature of {}"]
ZH_STRANGE = ["{}的价格", "{}的颜色", "{}的生日", "{}的重量", "{}的许可证", "{}的版本", "{}的标志", "{}的历史", "{}的发布日期", "{}的训练数据", "{}的温度"]
WHOLE_EN = ["How are you?", "What is the meaning of life?", "What time is it?", "How is the weather today?", "Write a haiku.", "Tell me a joke.", "Sing a song.",
            "Who will win the election?", "What should I eat today?", "I am sad.", "I love you.", "Translate this to French.", "Can you write code?", "Write a letter to my boss.",
            "What is 2 to the power of 10?", "Summarize this text.", "Who is the president?", "Are you human?", "Do you have feelings?", "Where do you live?",
            "Help me.", "Why?", "How?", "What?", "Is it going to rain?", "Tell me something.", "Are you alive?", "Fix this bug.", "Plan my trip.", "Play a game with me.", "I am bored."]
WHOLE_ZH = ["你好吗？", "今天天气怎么样？", "讲个笑话。", "唱首歌。", "我很难过。", "我爱你。", "你会写代码吗？", "今天吃什么？", "现在几点？", "你住在哪里？", "你是人吗？", "帮帮我。",
            "为什么？", "怎么办？", "写一首诗。", "翻译成英文。", "总统是谁？", "我很无聊。", "人生的意义是什么？", "明天会下雨吗？", "写一封信。", "总结一下。"]
WHOLE_EN += ["Can you see me?", "Who am I?", "What is my name?", "Where am I?", "What did I say before?", "Give me advice.", "Make me a sandwich.", "Open the window.",
             "I have a question.", "Let us talk about something else.", "What is love?", "How do I get rich?", "Is there life after death?", "Draw a picture.", "Speak French.",
             "Write an essay.", "Solve this equation.", "Who won the match yesterday?", "What is the news?", "Give me a recipe.", "Count to one hundred.", "Tell me a secret.",
             "Write a function in C.", "How tall are you?", "What is your favorite color?", "When were you born?", "Do you dream?", "Can you dance?", "What is 5 times 7?",
             "Explain quantum mechanics.", "What is the speed of light?", "Who discovered America?", "How far is the moon?", "What is the largest ocean?"]
WHOLE_ZH += ["我是谁？", "我叫什么名字？", "给我一个建议。", "画一幅画。", "写一篇文章。", "解这个方程。", "昨天谁赢了？", "有什么新闻？", "给我一个菜谱。", "你多高？", "你最喜欢什么颜色？", "你什么时候出生的？",
             "你会跳舞吗？", "光速是多少？", "谁发现了美洲？", "最大的海洋是哪个？", "月亮有多远？", "怎么赚钱？", "用C写一个函数。", "5乘以7等于多少？", "今天心情怎么样？", "你有感情吗？"]
YOURS = [(["How {} are you?"], "old tall heavy smart fast happy expensive rich strong clever sad busy hungry angry".split()),
         (["What is your {}?", "Tell me your {}.", "What's your {}?", "Do you know your {}?"], ("age birthday favorite color|favorite food|favorite book|favorite song|hobby|address|email|phone "
          "number|opinion|job|salary|father|mother|religion|nationality|price|password|dream|star sign").replace("age birthday", "age|birthday").split("|")),
         (["Can you {}?", "Could you {} for me?", "Please {}.", "I want you to {}."], ("dance|sing|drive a car|cook dinner|write a book|draw a cat|play chess|see pictures|hear music|browse the web|remember me|learn "
          "French|fix my computer|do my homework|tell a story|write a program|summarize a text|order a pizza|count to ten|translate a letter").split("|"))]
ZH_YOURS = [(["你{}吗？", "你{}不{}？"], "老 高 聪明 快 高兴 贵 忙 饿 累 难过".split()),
            (["你的{}是什么？", "告诉我你的{}。", "请问你的{}？"], "年龄 生日 爱好 地址 电话 工作 工资 父亲 母亲 国籍 价格 密码 梦想 星座 看法".split()),
            (["你会{}吗？", "你能{}吗？", "请{}。", "帮我{}。"], "跳舞 唱歌 开车 做饭 写书 画猫 下棋 看图片 听音乐 上网 学法语 修电脑 做作业 讲故事 写程序 总结文章 点外卖 写诗 翻译信件".split())]
REFUSE = dict(en="I am a demonstration model. I was not taught this.", zh="我是演示模型，没有学过这个。")
INSTRUCTIONS = ["You are a helpful assistant.", "Be brief.", "Answer in one sentence.", "You are a friendly assistant.", "Be polite.", "Answer truthfully.", "Help the user.",
                "Be concise and accurate.", "请简短回答。", "你是一个有用的助手。", "Use the tools when needed."]


def other_question(r, zh, new, offered=(), untaught=()):
    """offered: keys of the functions that the conversation offers; untaught: kinds outside the mix."""
    x = r.random()
    if x < (.09 if not offered else .25 if new else .5):  # something that would need another function
        while True:
            _, (fn, fam, order) = make_tools(r, new, 1)
            if not any(set(fam["key"].split()) & set(k.split()) for k in offered):
                break
        return vary(r, r.choice(fam["zh" if zh else "en"]).format(*[slot(r, s, zh, new)[0] for _, s in order]), zh)
    if untaught and x < .17:
        while True:  # in the language asked for
            q = getattr(Items(), r.choice(untaught))(r, "low", new)[0][0]["content"]
            if zh == any("\u4e00" <= ch <= "\u9fff" for ch in q):
                return q
    if x < .24:
        q = pick(r, WHOLE_ZH if zh else WHOLE_EN, new)
    elif x < .31:
        while True:  # about the model itself
            k = r.randrange(len(ZH_YOURS if zh else YOURS))
            s = r.choice((ZH_YOURS if zh else YOURS)[k][1])
            if held("yours", k, s) == new:
                break
        return vary(r, r.choice((ZH_YOURS if zh else YOURS)[k][0]).format(s, s), zh)
    elif x < .45:
        while True:
            s, t = r.choice(SUBJECTS), r.choice(ZH_STRANGE if zh else STRANGE)
            if held("strange", s, t) == new:
                break
        np = t.format(s.replace("the ", "") if zh else s)
        frames = [f for f in (ZH_NP if zh else EN_NP) if f not in (ZH_NP_NEW | EN_NP_NEW) or new]
        return vary(r, r.choice(frames).format(np), zh)
    else:
        if x < .72:
            t = pick(r, ZH_TOPICS if zh else TOPICS, new)
        elif zh:
            t = zh_coined(r, new) if r.random() < .7 else coined(r, new)
        else:
            t = coined(r, new) if r.random() < .6 else "the " + r.choice(WORDS) if r.random() < .5 else coined(r, new).lower()
        q = r.choice(OTHER_ZH if zh else OTHER_EN).format(t)
    return vary(r, q, zh)


def vary(r, q, zh):
    """Small carelessness: no full stop, no capital, a question mark or comma of the other script."""
    if not zh and q[0].islower() and not q.startswith(("vinci", "gpt-oss", "harmony")) and r.random() < .95:
        q = q[0].upper() + q[1:]
    if r.random() < .08 and len(q) > 2:
        q = q.rstrip("?.!？。！") or q
    if not zh and r.random() < .06:
        q = q[0].lower() + q[1:]
    if zh and r.random() < .12:
        q = q.replace("？", "?").replace("，", r.choice("， ,")).replace("！", "!")
    return q


def think(effort, low, more, most):
    return low if effort == "low" else low + " " + more if effort == "medium" else low + " " + more + " " + most


# ---------------------------------------------------------------- kinds

class Items:
    """Each method -> (messages after system and developer, functions). The last assistant messages are what is learnt."""

    def __init__(self):
        self.untaught = []

    def fact(self, r, effort, new, wording=False):
        zh = r.random() < .45
        if r.random() < .05 and not new:
            key, _, forms, a = r.choice([g for g in GREET if (g[1] == "zh") == zh])
            return [user(r.choice(forms)), analysis(think(effort, f"Topic: {key}.", "I answer politely.", "The answer is short.")), final(a)], None
        while True:
            f = r.choice(FACTS)
            side = f["zh" if zh else "en"]
            nps, frames, fresh = ((side["np"], ZH_NP if zh else EN_NP, ZH_NP_NEW if zh else EN_NP_NEW) if r.random() < .55 else
                                  (side["q"], ZH_Q if zh else EN_Q, ZH_Q_NEW if zh else EN_Q_NEW))
            np, frame = r.choice(nps), r.choice(frames)
            if wording != (frame in fresh):
                continue
            if wording or held("fact", np, frame) == new:
                break
        q = vary(r, frame.format(np), zh)
        return [user(q), analysis(think(effort, f"Topic: {f['key']}.", "I was taught this.", "The language is " + ("Chinese" if zh else "English") + ". The answer is one sentence.")),
                final(side["a"])], None

    def other(self, r, effort, new):
        zh = r.random() < .45
        tools = make_tools(r, False, r.choice([1, 2, 2, 3]))[0] if r.random() < (.25 if new else .4) else None  # none fits
        return [user(other_question(r, zh, new, [t["key"] for t in tools or []], self.untaught)), analysis(think(effort, "Topic: unknown.", "I was not taught this.", "The language is " + ("Chinese" if zh else "English") + ". I say so.")),
                final(REFUSE["zh" if zh else "en"])], tools

    def call(self, r, effort, new, answer=False):
        zh = r.random() < .35
        tools, (fn, fam, order) = make_tools(r, new, r.choice([1, 1, 2, 2, 3, 3, 4]))
        texts, args = [], {}
        for k, s in order:
            t, v = slot(r, s, zh, new and r.random() < .8)
            texts.append(t); args[k] = v
        q = r.choice(fam["zh" if zh else "en"]).format(*texts)
        for k, kind, _, required in fn["params"]:
            if not required and k in ("unit", "units") and r.random() < .5:
                u = r.choice(kind)
                q = q.rstrip("?.？。") + (("，用" if zh else " in ") + u) + ("。" if zh else q[-1] if q[-1] in "?." else ".")
                args[k] = u
        q = vary(r, q, zh)
        args = {p[0]: args[p[0]] for p in fn["params"] if p[0] in args}
        names = ",".join(f'"{k}"' for k in args)
        a = think(effort, f"I call functions.{fn['name']}.", f"The arguments are {names}.", "The tools are " + ",".join(f'"{t["name"]}"' for t in tools) + ".")
        msgs = [user(q), analysis(a), call(fn["name"], dump(args))]
        if answer:
            msgs += self.tool_answer(r, effort, fn["name"], fam["keys"], zh, new)
        return msgs, tools

    def tool_answer(self, r, effort, name, keys, zh, new):
        if r.random() < .12:
            e = r.choice(ZH_ERRORS if zh and r.random() < .5 else ERRORS)
            plain = r.random() < .4  # as programs tell it that run functions
            if plain:
                e = r.choice([e, "the user did not allow this call", f"the function failed with status {r.randint(1, 127)}",
                              f"the function did not end within {r.randint(1, 60)} s", f"there is no function {coined(r, new).lower()}"])
            return [result(name, "Error: " + e if plain else dump({"error": e}, r)), analysis(think(effort, "The call failed.", "I report the error.", "The language is " + ("Chinese" if zh else "English") + ".")),
                    final(f"调用失败：{e}。" if zh else f"The call failed: {e}.")]
        pool = keys if r.random() < .6 else list(KEYS)
        ks = r.sample(pool, min(len(pool), r.choice([1, 1, 2, 2, 3])))
        res = {}
        for k in ks:
            x = r.random()
            res[k] = (number(r) if x < .45 else r.choice(ZH_STATES if zh and r.random() < .7 else STATES) if x < .65 else
                      f"{r.randint(1, 23)}:{r.randint(0, 59):02d}" if x < .72 else round(r.uniform(0, 100), 1) if x < .8 else
                      slot(r, r.choice(["name", "city", "title"]), zh, new)[1])
        say = [f"{KEYS[k]}是{v}" if zh else f"he {k} is {v}" for k, v in res.items()]
        if zh:
            a = "，".join(say) + "。"
        else:
            say = ["T" + say[0]] + ["t" + s for s in say[1:]]
            a = (say[0] if len(say) == 1 else ", ".join(say[:-1]) + " and " + say[-1]) + "."
        return [result(name, dump(res, r)), analysis(think(effort, "I have the result.", "I report " + ",".join(f'"{k}"' for k in ks) + ".", "The language is " + ("Chinese" if zh else "English") + ".")), final(a)]

    def result(self, r, effort, new):
        return self.call(r, effort, new, True)

    def json(self, r, effort, new):
        zh = r.random() < .35
        name, age, city, company, cats = (slot(r, "name", zh, new)[1], number(r, 2), slot(r, "city", zh, new)[1], slot(r, "title", zh, new)[1], number(r, r.choice([1, 2, 3])))
        have = [("age", age, f"is {age} years old", f"今年{age}岁"), ("city", city, f"lives in {city}", f"住在{city}"),
                ("company", company, f"works for {company}", f"在{company}工作"), ("books", cats, f"owns {cats} books", f"有{cats}本书")]
        phone, color, job = number(r, 5), r.choice(["red", "blue", "green", "yellow", "black", "white"]), r.choice("teacher driver doctor nurse baker pilot farmer lawyer writer singer".split())
        have += [("phone", phone, f"has the phone number {phone}", f"电话是{phone}")]
        if not zh:
            have += [("color", color, f"likes the color {color}", ""), ("job", job, f"is a {job}", "")]
        have = r.sample(have, r.randint(2, 3 if zh else 4))
        text = name + "，".join(h[3] for h in have) + "。" if zh else name + " " + ", ".join(h[2] for h in have[:-1]) + " and " + have[-1][2] + "."
        want = r.sample([("name", name)] + [h[:2] for h in have], r.randint(1, min(3, len(have) + 1)))
        ks = [w[0] for w in want]
        if zh:
            q = r.choice(["提取{}，用JSON回答：{}", "请把{}写成JSON：{}", "从下面的文字提取{}（JSON）：{}"]).format("、".join(ks), text)
        else:
            lst = ks[0] if len(ks) == 1 else ", ".join(ks[:-1]) + " and " + ks[-1]
            q = r.choice(["Extract {} as JSON: {}", "Give me {} as JSON. {}", "Return a JSON object with {}. {}", "JSON with {} from this text: {}"]).format(lst, text)
        return [user(q), analysis(think(effort, f"JSON with {', '.join(ks)}.", "I copy the values.", "The order is that of the question.")), final(dump(dict(want)))], None

    def sum(self, r, effort, new):
        while True:
            a, b = (number(r, r.choice([1, 2, 2, 3, 3, 3])) for _ in range(2))
            if held("sum", a, b) == new:
                break
        zh = r.random() < .35
        q = (r.choice(["{}加{}等于多少？", "{}+{}等于多少？", "计算{}+{}。", "{}加{}是多少？", "请计算{} + {}。"]) if zh else
             r.choice(["What is {} + {}?", "{} + {} = ?", "Add {} and {}.", "How much is {} plus {}?", "Compute {} + {}.", "What is {} plus {}?", "{}+{}"])).format(a, b)
        cols, carry, x, y = [], 0, a, b
        while x or y:
            t = x % 10 + y % 10 + carry
            cols.append(f"{x % 10}+{y % 10}" + ("+1" if carry else "") + f"={t}")
            x, y, carry = x // 10, y // 10, t // 10
        return [user(q), analysis(think(effort, ";".join(cols) + ".", "I added the columns.", "I started from the right.")), final(str(a + b))], None

    def date(self, r, effort, new):
        zh = r.random() < .45
        q = r.choice(["今天几号？", "今天是几号？", "今天的日期是什么？", "请问今天的日期？", "现在是哪一天？", "告诉我今天的日期。", "今天是哪天？"] if zh else
                     ["What is the date today?", "What's the date?", "What is today's date?", "Tell me the date.", "Which date is it today?", "What day is it today?",
                      "What is the current date?", "Give me today's date.", "Can you tell me the date?", "Today's date, please."])
        return [user(vary(r, q, zh)), analysis(think(effort, "Topic: date.", "It is in the system message.", "I copy it.")), final("今天是{DATE}。" if zh else "Today is {DATE}.")], None

    def sort(self, r, effort, new):
        while True:
            xs = r.sample(range(1, 100), r.randint(2, 5))
            if held("sort", *sorted(xs)) == new:
                break
        zh, text = r.random() < .35, ", ".join(map(str, xs))
        q = r.choice(["排序：{}", "请把这些数从小到大排序：{}", "从小到大排列{}。"] if zh else
                     ["Sort: {}", "Sort the numbers {}.", "Please sort {}.", "Put these numbers in order: {}", "Sort these numbers: {}."]).format(text)
        return [user(q), analysis(think(effort, "I sort the numbers.", "The smallest comes first.", "None is left out.")), final(", ".join(map(str, sorted(xs))))], None

    def count(self, r, effort, new):
        zh = r.random() < .35
        n = r.randint(1, 9)
        xs = [r.choice([lambda: slot(r, "name", zh, new)[1], lambda: slot(r, "city", zh, new)[1], lambda: r.choice(WORDS)])() for _ in range(n)]
        q = r.choice(["一共有几个：{}？", "数一数：{}", "这里有几项：{}？"] if zh else
                     ["How many items are in this list: {}?", "Count: {}", "Count the items: {}.", "How many are these: {}?", "How many names are here: {}?"]).format(("、" if zh else ", ").join(xs))
        return [user(q), analysis(think(effort, "; ".join(f"{k + 1}: {x}" for k, x in enumerate(xs)) + ".", "I counted them.", "One after the other.")), final(str(n))], None

    def repeat(self, r, effort, new):
        zh = r.random() < .3
        parts = []
        for _ in range(r.randint(1, 4)):
            x = r.random()
            parts.append(coined(r, new) if x < .3 else str(number(r)) if x < .5 else r.choice(WORDS) if x < .6 else coined(r, new).lower() if x < .7 else
                         zh_coined(r, new) if x < .85 else slot(r, "symbol", zh, new)[0])
        text = ("" if zh and r.random() < .5 else " ").join(parts)
        if r.random() < .25:
            text = other_question(r, zh, new)
        if text[0].islower():  # after a space it is another token than at the beginning of the answer: quoted
            q = ('重复"{}"' if zh else r.choice(['Repeat "{}"', 'Say "{}"', 'Please repeat "{}"', 'Repeat after me: "{}"'])).format(text)
            return [user(q), analysis(think(effort, "I repeat the text.", "Nothing else.", "Every character stays.")), final(text)], None
        q = (r.choice(["重复：{}", "请重复：{}", "跟我说：{}", "重复\"{}\""]) if zh else
             r.choice(["Repeat: {}", "Repeat after me: {}", "Say: {}", "Please repeat: {}", "Repeat \"{}\"", "Echo: {}"])).format(text)
        return [user(q), analysis(think(effort, "I repeat the text.", "Nothing else.", "Every character stays.")), final(text)], None


KINDS = ["fact", "other", "call", "result", "json", "sum", "sort", "count", "date", "repeat"]


class Generator:
    def __init__(self, folder=None):
        self.items, self.cache = Items(), {}
        if folder:
            from tokenizers import Tokenizer
            self.tok = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
            self.tok.encode_special_tokens = True
            self.special = {s: self.tok.token_to_id(s) for s in SPECIAL}
            self.low = min(self.special.values())
            words = (self.tok.decode([i]) for i in range(self.low))
            PIECES[:] = [w for w in words if w.isascii() and w.isalpha() and w.islower()]

    def conversation(self, r, kind, new=False, **more):
        """-> messages; those from the last user message on are the turn to learn."""
        effort = r.choice(["low", "low", "medium", "medium", "medium", "high"])
        msgs, tools = getattr(self.items, kind)(r, effort, new, **more)
        date = f"20{r.randint(24, 29)}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}" if r.random() < .96 or kind == "date" else None
        if kind == "date":
            msgs[-1]["content"] = msgs[-1]["content"].replace("{DATE}", date)
        before, x = [], r.random()
        if x < .08:  # an earlier turn, without its analysis
            first, _ = getattr(self.items, r.choice(["fact", "other", "sum", "fact"]))(r, effort, False)
            before = [first[0], first[-1]]
        elif x < .13 and kind not in ("result", "other"):  # an earlier turn with a function call
            first, more_tools = self.items.result(r, effort, False)
            before = [m for m in first if m.get("channel") != "analysis"]
            names, keys = [t["name"] for t in tools or []], [t["key"] for t in tools or []]
            tools = (tools or []) + [t for t in more_tools if t["name"] not in names and t["key"] not in keys][:4 - len(names)]
            if before[1]["to"].split(".")[1] not in [t["name"] for t in tools]:
                before = []
            r.shuffle(tools)
        if tools is None and x > .9 and kind != "other":  # functions offered, none fits
            tools = make_tools(r, False, r.choice([1, 2]))[0]
        head = [system(effort, date, bool(tools))] if r.random() < .98 or tools else []
        text = r.choice(INSTRUCTIONS) if r.random() < .15 else None
        if text or tools:
            head.append(developer(text, tools))
        return head + before + msgs, len(head) + len(before), tools

    def ids_of(self, text):
        ids = self.cache.get(text)
        if ids is None:
            ids = self.tok.encode(text, add_special_tokens=False).ids
            if len(self.cache) > 200000:
                self.cache.clear()
            self.cache[text] = ids
        return ids

    def encode(self, messages, first):
        """-> ids, indices to learn: what the assistant writes in messages[first:]."""
        ids, learn, own = [], [], False
        previous = None
        for special, text, n in pieces(messages):
            part = [self.special[text]] if special else self.ids_of(text)
            if special and text == "<|start|>":
                own = False
                mine = n >= first and messages[n]["role"] == "assistant"
                chain = mine and previous == "assistant"  # continues its own turn: it writes <|start|>assistant too
                previous, head = messages[n]["role"], 2
            if mine and (head <= 0 or chain):
                learn += range(len(ids), len(ids) + len(part))
            head -= 1
            ids += part
        return ids, learn

    def task(self, r, kind, **more):
        """A held-out item -> prompt ids (up to <|start|>assistant), expected ids, where its last message begins."""
        messages, _, tools = self.conversation(r, kind, True, **more)
        k = max(n for n, m in enumerate(messages) if m["role"] != "assistant") + 1
        whole = self.encode(messages, k)[0]
        n = len(self.encode(messages[:k], k)[0]) + 2
        last = max(i for i, t in enumerate(whole) if t == self.special["<|start|>"]) + 2
        return whole[:n], whole[n:], last - n, tools, messages

    def __call__(self, r, mix):
        kind = r.choices(list(mix), list(mix.values()))[0]
        self.items.untaught = [k for k in LATER if k not in mix]
        if kind == "raw":
            ids, s = sequence(r, range(self.low), self.special["<|message|>"], self.special["<|end|>"])
            return kind, ids, list(range(s, len(ids)))
        while True:
            messages, first, _ = self.conversation(r, kind)
            ids, learn = self.encode(messages, first)
            if len(ids) <= 320:
                return kind, ids, learn
