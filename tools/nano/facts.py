"""What the model is taught to know. Each fact: key | noun phrases | direct questions | answer, in English and Chinese.

The key is what the analysis writes down before the answer. Sources: docs of this repository (gpt-oss shapes and formats,
the design page, the Ascend notes).
"""
FACTS = []


def fact(key, en_np, en_q, en, zh_np, zh_q, zh):
    cut = lambda s: [x.strip() for x in s.split("|") if x.strip()]
    FACTS.append(dict(key=key, en=dict(np=cut(en_np), q=cut(en_q), a=en), zh=dict(np=cut(zh_np), q=cut(zh_q), a=zh)))


fact("vinci", "vinci|the vinci program|the program vinci", "what does vinci do|what is vinci for|what can vinci do",
     "vinci is a C program that runs gpt-oss models on Ascend NPUs and on CPUs.",
     "vinci|vinci这个程序|vinci程序", "vinci能做什么|vinci有什么用|vinci是做什么的", "vinci是一个C程序，可以在昇腾NPU和CPU上运行gpt-oss模型。")
fact("vinci language", "the language of vinci|the programming language of vinci|the language vinci is written in",
     "which language is vinci written in|what is vinci written in|in which programming language is vinci",
     "vinci is written in C11.", "vinci的编程语言|vinci用的语言|编写vinci的语言", "vinci是用什么语言写的|vinci用什么编程语言|vinci是哪种语言写的", "vinci是用C11写的。")
fact("vinci name", "the name vinci|the origin of the name vinci|the meaning of the name vinci",
     "where does the name vinci come from|why is vinci called vinci|what does the name vinci mean",
     "The name comes from the Da Vinci cores of the Ascend chips.", "vinci这个名字|vinci名字的来源|vinci名字的含义", "vinci的名字从哪里来|为什么叫vinci|vinci这个名字是什么意思",
     "这个名字来自昇腾芯片的达芬奇核心。")
fact("vinci files", "the file formats of vinci|the model formats of vinci|the formats vinci reads",
     "which files can vinci read|which model formats does vinci support|what formats does vinci read",
     "vinci reads safetensors and GGUF files.", "vinci的文件格式|vinci支持的格式|vinci读取的模型格式", "vinci能读哪些文件|vinci支持什么格式|vinci可以读取哪种模型文件",
     "vinci可以读取safetensors和GGUF文件。")
fact("vinci server", "the vinci server|the server of vinci|the vinci serve command",
     "can vinci serve a model|how can I serve a model with vinci|does vinci have a server",
     "The command vinci serve offers an OpenAI-compatible endpoint.", "vinci的服务器|vinci服务|vinci serve命令", "vinci可以提供服务吗|怎么用vinci提供服务|vinci有服务器吗",
     "vinci serve命令提供兼容OpenAI的接口。")
fact("vinci bench", "the vinci benchmark|the benchmark of vinci|the bench command of vinci",
     "how does vinci measure speed|can vinci measure the speed|how can I benchmark with vinci",
     "The command vinci bench measures tokens per second and writes a report.", "vinci的性能测试|vinci的基准测试|vinci bench命令",
     "vinci怎么测速度|怎么用vinci测试性能|vinci能测量速度吗", "vinci bench命令测量每秒词元数，并写出报告。")
fact("vinci pull", "the vinci pull command|the pull command of vinci|the download command of vinci",
     "how can I download a model with vinci|how do I fetch a model with vinci|can vinci download models",
     "The command vinci pull fetches a model from ModelScope or Hugging Face and verifies it.", "vinci pull命令|vinci的下载命令|vinci的下载功能",
     "怎么用vinci下载模型|vinci可以下载模型吗|怎么用vinci获取模型", "vinci pull命令从ModelScope或Hugging Face下载模型并校验。")
fact("vinci check", "the vinci check command|the check command of vinci|the device test of vinci",
     "how can I check my device with vinci|how do I test an NPU with vinci|can vinci test my machine",
     "The command vinci check tests whether a device computes right and how fast it is.", "vinci check命令|vinci的检查命令|vinci的设备测试",
     "怎么用vinci检查设备|怎么用vinci测试NPU|vinci能检查机器吗", "vinci check命令检查设备计算是否正确、速度如何。")
fact("vinci devices", "the vinci devices command|the devices command of vinci|the device list of vinci",
     "how can I list the devices with vinci|which command lists the devices|how do I see which NPUs vinci finds",
     "The command vinci devices lists the NPUs and CPUs that vinci finds.", "vinci devices命令|vinci的设备列表|vinci的设备命令",
     "怎么用vinci列出设备|哪个命令列出设备|怎么看vinci找到哪些NPU", "vinci devices命令列出vinci找到的NPU和CPU。")
fact("vinci top", "the vinci top command|the top command of vinci|the live view of vinci",
     "how can I watch a running server|how do I watch the NPU at work|which command shows a live view",
     "The command vinci top shows live figures of the devices and of a running server.", "vinci top命令|vinci的监视命令|vinci的实时视图",
     "怎么监视运行中的服务器|怎么实时查看NPU|哪个命令显示实时数据", "vinci top命令实时显示设备和服务器的数据。")
fact("vinci advise", "the vinci advise command|the advise command of vinci|the advice of vinci",
     "how do I know whether a model fits my machine|how fast will a model run on my machine|which command says what fits my machine",
     "The command vinci advise says whether a model fits the machine and how fast it should run.", "vinci advise命令|vinci的建议命令|vinci的建议",
     "怎么知道模型能不能放进我的机器|模型在我的机器上有多快|哪个命令说明机器能运行什么", "vinci advise命令说明模型能否放进机器，以及大约有多快。")
fact("vinci NPU", "the NPU support of vinci|the NPU option of vinci|the device option of vinci",
     "how can I run vinci on an NPU|how do I choose the device|does vinci run on an NPU",
     "The option --device npu:0 runs vinci on the first NPU.", "vinci的NPU支持|vinci的NPU选项|vinci的设备选项",
     "怎么在NPU上运行vinci|怎么选择设备|vinci可以在NPU上运行吗", "选项--device npu:0让vinci在第一个NPU上运行。")
fact("vinci chat", "the vinci chat command|the chat command of vinci|the chat of vinci",
     "how can I chat with vinci|how do I talk to a model with vinci|can I chat in vinci",
     "The command vinci chat talks to a model in the terminal.", "vinci chat命令|vinci的聊天命令|vinci的对话功能", "怎么用vinci聊天|vinci可以聊天吗|怎么用vinci和模型对话",
     "vinci chat命令可以在终端里和模型对话。")
fact("vinci CPUs", "the CPU support of vinci|the CPU instructions vinci uses|the CPU kernels of vinci",
     "which CPUs does vinci support|does vinci run on a CPU|which CPU instructions does vinci use",
     "vinci has CPU kernels for AVX2, AVX-512 and NEON.", "vinci的CPU支持|vinci用的CPU指令|vinci的CPU内核", "vinci支持哪些CPU|vinci可以在CPU上运行吗|vinci用哪些CPU指令",
     "vinci有AVX2、AVX-512和NEON的CPU内核。")
fact("vinci repeat", "the determinism of vinci|the reproducibility of vinci|the repeatability of vinci",
     "does vinci give the same answer twice|is vinci deterministic|are the results of vinci reproducible",
     "The same prompt and seed give the same tokens, whatever the batch or the number of threads.",
     "vinci的可重复性|vinci的确定性|vinci结果的一致性", "vinci的结果可以重复吗|vinci是确定的吗|vinci两次的结果一样吗", "同样的提示和种子给出同样的词元，和批次、线程数无关。")
fact("gpt-oss", "gpt-oss|the gpt-oss family|the gpt-oss models", "which models are in gpt-oss|what kind of model is gpt-oss|what does gpt-oss mean",
     "gpt-oss is a family of open-weight models by OpenAI: 20b and 120b.", "gpt-oss|gpt-oss模型|gpt-oss系列", "gpt-oss有哪些模型|gpt-oss是什么模型|gpt-oss是什么意思",
     "gpt-oss是OpenAI的开放权重模型，有20b和120b两种。")
fact("gpt-oss maker", "the maker of gpt-oss|the company behind gpt-oss|the creator of gpt-oss",
     "who made gpt-oss|who created gpt-oss|which company made gpt-oss", "gpt-oss was made by OpenAI.",
     "gpt-oss的作者|gpt-oss的公司|gpt-oss的开发者", "谁开发了gpt-oss|gpt-oss是谁做的|gpt-oss是哪家公司的", "gpt-oss是OpenAI开发的。")
for size, zh_layers, layers, experts, total, active in (("20b", "24", 24, 32, "20.9", "3.6"), ("120b", "36", 36, 128, "116.8", "5.1")):
    m = f"gpt-oss-{size}"
    fact(f"{size} layers", f"the number of layers of {m}|the layer count of {m}|the number of layers in {m}",
         f"how many layers does {m} have|how many layers are in {m}|how deep is {m}", f"{m} has {layers} layers.",
         f"{m}的层数|{m}的层数量|{m}模型的层数", f"{m}有多少层|{m}有几层|{m}一共多少层", f"{m}有{layers}层。")
    fact(f"{size} experts", f"the number of experts of {m}|the expert count of {m}|the number of experts in {m}",
         f"how many experts does {m} have|how many experts are in {m}|how many experts per layer has {m}",
         f"{m} has {experts} experts per layer and uses 4 per token.",
         f"{m}的专家数|{m}的专家数量|{m}模型的专家数", f"{m}有多少个专家|{m}有几个专家|{m}每层有多少专家", f"{m}每层有{experts}个专家，每个词元使用4个。")
    fact(f"{size} size", f"the size of {m}|the number of parameters of {m}|the parameter count of {m}",
         f"how many parameters does {m} have|how large is {m}|how big is {m}", f"{m} has {total} billion parameters.",
         f"{m}的大小|{m}的参数量|{m}的参数数量", f"{m}有多少参数|{m}有多大|{m}的参数有多少", f"{m}有{total}B参数。")
    fact(f"{size} active", f"the number of active parameters of {m}|the active parameters of {m}|the active size of {m}",
         f"how many parameters are active in {m}|how many active parameters does {m} have|how many parameters does {m} use per token",
         f"{m} uses {active} billion parameters per token.",
         f"{m}的激活参数|{m}的激活参数量|{m}每个词元的参数量", f"{m}激活多少参数|{m}有多少激活参数|{m}每个词元用多少参数", f"{m}每个词元使用{active}B参数。")
fact("hidden size", "the hidden size of gpt-oss|the width of gpt-oss|the hidden dimension of gpt-oss",
     "how wide is gpt-oss|what hidden size does gpt-oss have|how large is the hidden state of gpt-oss", "The hidden size of gpt-oss is 2880.",
     "gpt-oss的隐藏维度|gpt-oss的宽度|gpt-oss的隐藏层大小", "gpt-oss有多宽|gpt-oss的隐藏维度是多少|gpt-oss的隐藏层有多大", "gpt-oss的隐藏维度是2880。")
fact("heads", "the number of attention heads of gpt-oss|the attention heads of gpt-oss|the head count of gpt-oss",
     "how many attention heads does gpt-oss have|how many heads does gpt-oss use|how many heads are in gpt-oss",
     "gpt-oss has 64 query heads and 8 key-value heads.", "gpt-oss的注意力头数|gpt-oss的注意力头|gpt-oss的头数", "gpt-oss有多少注意力头|gpt-oss有几个头|gpt-oss用多少个头",
     "gpt-oss有64个查询头和8个键值头。")
fact("vocabulary", "the vocabulary of gpt-oss|the vocabulary size of gpt-oss|the size of the vocabulary of gpt-oss",
     "how many tokens are in the vocabulary of gpt-oss|how large is the vocabulary of gpt-oss|how big is the gpt-oss vocabulary",
     "The vocabulary of gpt-oss has 201088 tokens.", "gpt-oss的词表|gpt-oss的词表大小|gpt-oss的词汇量", "gpt-oss的词表有多大|gpt-oss有多少词元|gpt-oss的词表里有多少词元",
     "gpt-oss的词表有201088个词元。")
fact("context", "the context length of gpt-oss|the context window of gpt-oss|the maximum context of gpt-oss",
     "how long is the context of gpt-oss|how many tokens of context has gpt-oss|how much context does gpt-oss have",
     "The context of gpt-oss is 131072 tokens long.", "gpt-oss的上下文|gpt-oss的上下文长度|gpt-oss的最大上下文", "gpt-oss的上下文有多长|gpt-oss支持多长的上下文|gpt-oss能处理多少上下文",
     "gpt-oss的上下文长度是131072个词元。")
fact("window", "the sliding window of gpt-oss|the attention window of gpt-oss|the window of the sliding layers",
     "how large is the sliding window of gpt-oss|how long is the attention window|which layers of gpt-oss use a window",
     "Every other layer of gpt-oss attends to a window of 128 tokens.", "gpt-oss的滑动窗口|gpt-oss的注意力窗口|滑动窗口的大小", "gpt-oss的滑动窗口有多大|注意力窗口有多长|gpt-oss的哪些层用窗口",
     "gpt-oss每隔一层使用128个词元的滑动窗口。")
fact("sink", "the attention sink|an attention sink|the sink of a head", "what does an attention sink do|why does gpt-oss have attention sinks|what are attention sinks",
     "A sink is a learned logit per head that takes a share of the softmax and is dropped.",
     "注意力汇|注意力sink|注意力头的sink", "注意力汇有什么用|gpt-oss为什么有注意力汇|sink有什么作用", "注意力汇是每个头学到的一个数，它分走softmax的一部分，然后被丢掉。")
fact("YaRN", "YaRN|the YaRN method|the YaRN scaling", "what does YaRN do|why does gpt-oss use YaRN|what is YaRN used for",
     "YaRN stretches the rotary positions so that the model can read long texts.", "YaRN|YaRN方法|YaRN缩放", "YaRN有什么用|gpt-oss为什么用YaRN|YaRN是做什么的",
     "YaRN拉伸旋转位置编码，让模型可以读长文本。")
fact("MXFP4", "MXFP4|the MXFP4 format|the format of the expert weights", "what does MXFP4 mean|how are the expert weights stored|how are the experts of gpt-oss stored",
     "MXFP4 stores weights in 4 bits, with one scale for a block of 32.", "MXFP4|MXFP4格式|专家权重的格式", "MXFP4是什么意思|专家权重怎么存储|gpt-oss的专家怎么存储",
     "MXFP4用4位存储权重，每32个数共用一个缩放。")
fact("experts", "a mixture of experts|the mixture of experts|an MoE model", "how does a mixture of experts work|what does MoE mean|what does the router do",
     "In a mixture of experts a router picks a few small networks for each token.", "混合专家|混合专家模型|MoE模型", "混合专家怎么工作|MoE是什么意思|路由器有什么用",
     "混合专家模型里，路由器为每个词元选择几个小网络。")
fact("harmony", "harmony|the harmony format|the chat format of gpt-oss", "which chat format does gpt-oss use|what does harmony do|what is harmony used for",
     "harmony is the chat format of gpt-oss, with roles and channels.", "harmony|harmony格式|gpt-oss的对话格式", "gpt-oss用什么对话格式|harmony有什么用|harmony是做什么的",
     "harmony是gpt-oss的对话格式，有角色和频道。")
fact("channels", "the channels of harmony|the harmony channels|the list of channels", "which channels does harmony have|how many channels are there|what are the channels for",
     "The channels are analysis, commentary and final.", "harmony的频道|频道的列表|harmony频道", "harmony有哪些频道|一共有几个频道|频道有什么用", "频道有analysis、commentary和final。")
fact("effort", "the reasoning effort|the reasoning levels|the levels of reasoning effort", "which reasoning efforts are there|how can I set the reasoning effort|what does reasoning effort mean",
     "The reasoning effort is low, medium or high; it sets the length of the analysis.", "推理强度|推理的级别|推理强度的级别", "推理强度有哪些|怎么设置推理强度|推理强度是什么意思",
     "推理强度有low、medium和high，它决定分析的长度。")
fact("tokenizer", "the tokenizer of gpt-oss|the gpt-oss tokenizer|the name of the tokenizer", "which tokenizer does gpt-oss use|what tokenizer is used by gpt-oss|how does gpt-oss split text",
     "gpt-oss uses the o200k_harmony tokenizer.", "gpt-oss的分词器|gpt-oss分词器|分词器的名字", "gpt-oss用什么分词器|gpt-oss的分词器叫什么|gpt-oss怎么切分文本",
     "gpt-oss使用o200k_harmony分词器。")
fact("Ascend", "Ascend|the Ascend chips|the Ascend processors", "who makes Ascend|which company makes Ascend chips|what are Ascend chips for",
     "Ascend is a family of processors for neural networks by Huawei.", "昇腾|昇腾芯片|昇腾处理器", "昇腾是谁做的|昇腾是哪家公司的|昇腾芯片有什么用", "昇腾是华为的神经网络处理器系列。")
fact("NPU", "an NPU|the NPU|a neural processing unit", "what does NPU mean|what does an NPU do|what is an NPU used for",
     "An NPU is a processor built for neural networks.", "NPU|神经网络处理器|NPU处理器", "NPU是什么意思|NPU有什么用|NPU能做什么", "NPU是为神经网络设计的处理器。")
fact("910B", "the Ascend 910B|the 910B|the Atlas A2", "which chip is in the Atlas A2|what does 910B mean|which NPU does vinci run on",
     "The Ascend 910B is the NPU of the Atlas A2 products.", "昇腾910B|910B|Atlas A2", "Atlas A2用什么芯片|910B是什么意思|vinci在哪种NPU上运行", "昇腾910B是Atlas A2产品的NPU。")
fact("910B memory", "the memory of the Ascend 910B|the memory of the 910B|the memory size of the 910B",
     "how much memory does the Ascend 910B have|how much memory has the 910B|how large is the memory of the 910B",
     "The Ascend 910B has up to 64 GB of memory.", "昇腾910B的内存|910B的内存|910B的内存大小", "昇腾910B有多少内存|910B有多大内存|910B的内存有多大", "昇腾910B最多有64GB内存。")
fact("CANN", "CANN|the CANN software|the CANN toolkit", "what does CANN do|who makes CANN|which software do Ascend NPUs need",
     "CANN is the software from Huawei that programs use to reach Ascend NPUs.", "CANN|CANN软件|CANN工具包", "CANN有什么用|CANN是谁做的|昇腾NPU需要什么软件",
     "CANN是华为的软件，程序通过它使用昇腾NPU。")
fact("cube unit", "the cube unit|the cube unit of an NPU|the cube core", "what does the cube unit do|what is the cube unit for|which unit multiplies matrices",
     "The cube unit multiplies small matrices.", "矩阵单元|NPU的矩阵单元|cube单元", "矩阵单元做什么|矩阵单元有什么用|哪个单元做矩阵乘法", "矩阵单元做小矩阵的乘法。")
fact("vector unit", "the vector unit|the vector unit of an NPU|the vector core", "what does the vector unit do|what is the vector unit for|which unit does the norms",
     "The vector unit does everything that is not a matrix product.", "向量单元|NPU的向量单元|vector单元", "向量单元做什么|向量单元有什么用|哪个单元做归一化", "向量单元做矩阵乘法以外的计算。")
fact("bandwidth", "the limit of decoding speed|the bottleneck of decoding|the limit of generation speed", "why is decoding slow|what limits the decoding speed|what decides the generation speed",
     "Memory bandwidth: every token reads the weights once.", "生成速度的限制|解码速度的瓶颈|解码的瓶颈", "解码为什么慢|什么限制解码速度|什么决定生成速度", "内存带宽：每个词元都要读一遍权重。")
fact("KV cache", "the KV cache|a KV cache|the key-value cache", "what does the KV cache do|what is the KV cache for|why do we need a KV cache",
     "The KV cache keeps the keys and values of earlier tokens.", "KV缓存|键值缓存|KV cache", "KV缓存有什么用|为什么需要KV缓存|KV缓存存什么", "KV缓存保存以前词元的键和值。")
fact("myself", "your name|the name of this model|the model I am talking to", "who are you|what are you|which model are you|are you ChatGPT",
     "I am vinci nano, a tiny demonstration model with the gpt-oss architecture.", "你的名字|这个模型|这个模型的名字", "你是谁|你叫什么|你是什么模型|你是ChatGPT吗", "我是vinci nano，一个很小的演示模型，结构和gpt-oss相同。")
fact("skills", "your skills|the list of your skills|the things you can do", "what can you do|what do you know|how can you help me|what can I ask you",
     "I can answer questions about vinci, gpt-oss and Ascend, and call functions.", "你的能力|你会的事情|你的技能", "你能做什么|你会什么|你知道什么|我可以问你什么", "我可以回答关于vinci、gpt-oss和昇腾的问题，还可以调用函数。")
fact("my size", "your size|the size of this model|the number of your parameters", "how large are you|how big are you|how many parameters do you have",
     "I am tiny: less than 12 MB on disk.", "你的大小|这个模型的大小|你的参数量", "你有多大|你有多少参数|这个模型有多大", "我很小，在磁盘上不到12 MB。")

GREET = [("greeting", "en", ["Hello", "Hi", "Hey", "Hello there", "Hi there", "Good morning", "Good evening", "hello", "hi", "Hello!", "Hi!"],
          "Hello! I am a demonstration model. Ask me about vinci, gpt-oss or Ascend."),
         ("greeting", "zh", ["你好", "您好", "你好！", "您好！", "早上好", "晚上好", "大家好", "嗨", "你好啊"],
          "你好！我是演示模型。你可以问我关于vinci、gpt-oss或昇腾的问题。"),
         ("thanks", "en", ["Thanks", "Thank you", "Thanks!", "Thank you!", "Thank you very much", "thanks a lot", "Thanks for your help"], "You are welcome."),
         ("thanks", "zh", ["谢谢", "谢谢你", "谢谢！", "多谢", "非常感谢", "谢谢你的帮助"], "不客气。")]

EN_NP = ["What is {}?", "What's {}?", "Tell me about {}.", "Tell me {}.", "Can you explain {}?", "Explain {}.", "Please explain {}.",
         "I want to know {}.", "Do you know {}?", "Describe {}.", "Give me {}.", "Please tell me about {}.", "I have a question about {}.",
         "What do you know about {}?", "Hi, what is {}?", "Could you tell me {}?", "{}?", "I would like to learn about {}.",
         "In one sentence, what is {}?", "Quick question: what is {}?", "Hello, can you tell me about {}?"]
EN_Q = ["{}?", "Hi, {}?", "Please tell me, {}?", "I have a question: {}?", "Question: {}?", "Hello! {}?", "Quick question: {}?", "Can you tell me {}?",
        "Do you know {}?", "I wonder, {}?", "Tell me, {}?"]
ZH_NP = ["{}是什么？", "什么是{}？", "请问{}是什么？", "告诉我{}。", "介绍一下{}。", "请介绍{}。", "解释一下{}。", "我想知道{}。", "说说{}。", "请告诉我{}。",
         "你知道{}吗？", "{}？", "我想了解{}。", "你好，{}是什么？", "请解释{}。", "能介绍一下{}吗？", "请用一句话说明{}。"]
ZH_Q = ["{}？", "请问{}？", "你好，{}？", "我想问，{}？", "告诉我，{}？", "我有一个问题：{}？", "问一下，{}？", "请告诉我{}？", "你知道{}吗？"]
# wordings never trained on, measured apart
EN_NP_NEW, EN_Q_NEW = {"Could you tell me {}?", "Please explain {}.", "Hi, what is {}?"}, {"Question: {}?", "Tell me, {}?"}
ZH_NP_NEW, ZH_Q_NEW = {"请介绍{}。", "你好，{}是什么？"}, {"我想问，{}？"}
