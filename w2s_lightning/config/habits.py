"""What people type who come from Hydra's templates, TRL, transformers, Lightning or earlier code for this method.

Looked up for keys that do not exist here, before the nearest key is: `lr` is near to `for_task` in letters alone.
"""

# What to type, `{}` being the value that was typed, and the keys that people know it by. A test runs every line.
_HABITS = (
    # models and what they are trained on
    (
        "`model@weak={}`",
        "weak weak_model weak_models weak_model_name weak_model_size weak_model_name_or_path supervisor_model",
    ),
    (
        "`model@strong={}`",
        "strong strong_model strong_models strong_model_name strong_model_size student student_model",
    ),
    (
        "`model@strong={0}` (the student's) or `model@weak={0}` (its supervisor's)",
        "model models model_name model_size model_id model_name_or_path model_path pretrained_model_name_or_path",
    ),
    ("`model@middle.m1={}` (and `model@middle.m2=...`)", "middle middle_model m1"),
    ("`task.judge.metric={}`", "metric metric_for_best_model"),
    ("`task={}`", "dataset dataset_name ds_name weak_ds data data_name benchmark_name tasks"),
    (
        "`task=local_choice task.train_file={} task.test_file=...`",
        "train_file data_file data_files train_path data_path",
    ),
    ("`supervisor.file={}`", "supervisor labels_file weak_labels weak_labels_path"),
    ("`paradigm={}`", "method algorithm algo"),
    ("`seed={}`", "random_seed rng_seed manual_seed seed_everything"),
    ('`-m "seed=range({})"`', "seeds num_seeds n_seeds"),
    # fits
    (
        "`weak.lr.full={0} strong.lr.full={0}` (`lr.lora`, `lr.probe` with those fits; `fit.lr_scale` multiplies all)",
        "lr learning_rate max_lr base_lr peak_lr",
    ),
    ("`weak.lr.full={}`", "weak_lr weak_learning_rate"),
    ("`strong.lr.full={}`", "strong_lr strong_learning_rate"),
    ("`weak.head_init={0} strong.head_init={0}` (zeros or unembedding)", "head_init"),
    ("`fit.epochs={}`", "epochs epoch num_epochs n_epochs num_train_epochs max_epochs gt_epochs train_epochs"),
    ("`fit.epochs=...` (a fit's length is given in epochs)", "max_steps num_steps num_train_steps total_steps"),
    (
        "`fit.rows_per_step={}` (`trainer.tokens_per_batch` is what the memory must hold)",
        "batch_size bs train_batch_size per_device_train_batch_size global_batch_size",
    ),
    (
        "`trainer.tokens_per_batch=...` (it splits a step's rows, which stay the same)",
        "micro_batch_size minibatch_size mini_batch_size minibatch_size_per_device per_device_batch_size "
        "gradient_accumulation_steps accumulate_grad_batches grad_accum per_device_eval_batch_size eval_batch_size",
    ),
    ("`fit.warmup_steps=...` (in steps)", "warmup warmup_ratio num_warmup_steps"),
    ("`fit.warmup_steps={}`", "warmup_steps"),
    ("`fit.weight_decay={}`", "weight_decay wd"),
    ("`fit.schedule={}`", "scheduler lr_scheduler lr_schedule lr_scheduler_type"),
    ("`fit.clip_norm={}`", "max_grad_norm gradient_clip_val grad_clip clip_grad_norm clip"),
    ("`fit.dropout={}`", "dropout"),
    ("`fit.max_length={}`", "max_length max_seq_length max_seq_len max_len max_ctx model_max_length max_tokens"),
    ("`fit.precision=bf16` (or fp32)", "bf16 fp16 dtype torch_dtype precision mixed_precision amp"),
    ("`fit.attention={}`", "attn_implementation attention"),
    ("`fit=lora`", "use_lora use_peft peft peft_config lora"),
    ("`fit=lora fit.lora.rank={}`", "lora_r lora_rank r rank"),
    ("`fit=lora fit.lora.alpha={}`", "lora_alpha"),
    ("`fit=lora fit.lora.dropout={}`", "lora_dropout"),
    ("`fit=lora fit.lora.targets={}`", "lora_target_modules target_modules"),
    ("`fit=probe`", "linear_probe probe freeze_backbone"),
    ("`objective@gold.choice={}`", "gold gold_objective gold_loss"),
    ("`paradigm.rounds={}` (with `paradigm=self_improvement`)", "num_rounds rounds n_rounds"),
    ("`objective={}`", "loss loss_fn loss_type objective criterion"),
    ("`fit.evaluations=...` (so many, spread over the fit)", "eval_steps eval_every val_check_interval eval_interval"),
    ("`trainer.checkpoint_steps={}`", "save_steps save_every checkpoint_every save_interval"),
    ("`generation.max_new_tokens={}`", "max_new_tokens max_completion_length"),
    ("`generation.num_samples={}`", "num_samples n_samples num_return_sequences num_generations"),
    ("`generation.temperature={}`", "temperature"),
    ("`generation.top_p={}`", "top_p"),
    # machine
    ("`trainer=gpu` (how many: `trainer.devices=2`)", "gpu cuda use_gpu use_cuda"),
    ("`trainer=gpu trainer.devices={}`", "gpus num_gpus n_gpus n_gpu ngpus devices num_devices nproc_per_node"),
    ("`trainer=gpu` (or cpu)", "device accelerator"),
    ("`trainer=cpu`", "cpu use_cpu no_cuda"),
    ("`trainer=ddp` (`trainer.devices=2` for two)", "ddp distributed strategy"),
    ("`trainer.threads={}`", "threads num_threads"),
    ("`hydra.launcher.slots={}` (jobs at a time, with -m)", "n_jobs jobs num_workers workers dataloader_num_workers"),
    # folders and tracking
    (
        "`paths.outputs={}`",
        "output_dir out_dir outdir output outputs output_path output_folder save_dir results_dir results_folder "
        "default_root_dir log_dir logging_dir logdir root_dir work_dir",
    ),
    ("`paths.store={}`", "store store_dir cache_dir checkpoint_dir ckpt_dir"),
    ("`tracking=online` (or offline, disabled)", "wandb use_wandb report_to logger log_with wandb_enabled wandb_mode"),
    ("`tracking.project={}`", "project project_name wandb_project"),
    ("`tracking.entity={}`", "entity wandb_entity team"),
    ("`tracking.group={}`", "group wandb_group run_name wandb_name experiment_name exp_name wandb_run_name"),
    ("`tracking.tags=[{}]`", "tags wandb_tags"),
    # runs
    ("`-m sweeps={}`", "sweep experiment exp"),
    ("`run=plan`", "plan dry_run dryrun dry estimate"),
    ("`--help`", "help usage"),
    ("the command without it: a job trains and tests by itself", "fit train validate test predict do_train do_eval"),
    (
        "the same command as before: it goes on from its last checkpoint",
        "resume resume_from resume_from_checkpoint ckpt_path load_from_checkpoint checkpoint",
    ),
)
_LINES = {key: line for line, keys in _HABITS for key in keys.split()}
# Blocks of others, whose keys stand elsewhere here: `training_args.num_train_epochs`, `wandb.project`.
_BLOCKS = (
    *("fit", "trainer", "training", "train", "training_args", "args", "config", "cfg", "optimizer", "optim"),
    *("model", "data", "dataset", "logger", "wandb", "run", "launcher"),
)


ENDINGS = (".csv", ".jsonl", ".parquet", ".json", ".tsv", ".txt")
"""Of files of data, which people type for a task."""

TYPED = {
    **str.maketrans("‐‑‒–—―−“”„«»‘’‚\N{NO-BREAK SPACE}", '-------"""""\'\'\' ', "\N{ZERO WIDTH SPACE}\N{BOM}"),
    **{sign + 0xFEE0: sign for sign in range(ord("!"), ord("~") + 1)},  # full width
    # Cyrillic and Greek letters that look like these
    **str.maketrans("асеорхуіјѕһԁАВСЕНІЈКМОРЅТХΑΒΕΗΙΚΜΝΟΡΤΥΧΖο", "aceopxyijshdABCEHIJKMOPSTXABEHIKMNOPTYXZo"),
}
"""What pages, chats and other keyboards make of the signs that were typed."""

_NAMES = {
    "paradigm": {
        "w2s": "weak_to_strong",
        "weak2strong": "weak_to_strong",
        "w2sg": "weak_to_strong",
        "sft": "supervised",
        "finetune": "supervised",
        "distill": "distillation",
        "kd": "distillation",
        "self_training": "self_improvement",
        "selftrain": "self_improvement",
    },
}


def named_here(group: str, choice: str) -> str | None:
    """What a file that people know by another name is called here."""
    return _NAMES.get(group, {}).get(choice.lower().replace("-", "_"))


def instead(key: str, value: str) -> str | None:
    """What to type in place of a key that there is not; None where nobody is known to type it."""
    *blocks, last = key.lower().replace("-", "_").replace("/", ".").split(".")
    block = blocks[-1] if blocks else ""
    if block and block not in _BLOCKS:
        return None
    line = _LINES.get(f"{block}_{last}" if block in ("wandb", "model") else last, _LINES.get(last))
    return None if line is None else f"type {line.format(value or '...')}"
